import type { TextOwner } from '../../catalog/text-workers.ts';
import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { AskedTokens } from './read-max-tokens.ts';
import { checkTokenIds } from './vocabulary.ts';

/** No vocabulary has longer tokens: text beyond this many bytes a token need not be tokenized to know it is too long. */
const longestTokenBytes = 128;

export interface PromptReading {
  model: ReadyModel;
  owner: TextOwner;
  /** The field at fault where the prompt is. */
  param: string;
  /** How messages call it. */
  name: string;
  /** Most tokens it may have. */
  room: number;
  /** Run the tokenizer's post-processor over a text. */
  addSpecialTokens: boolean;
  /** As the request has it: tokens to keep of a longer prompt, -1 for all there is room for beside what is generated; null: refuse it. */
  truncateTo: number | null;
  /** What is generated after it. */
  toGenerate: AskedTokens;
}

/** Most tokens a prompt may have, with room for one that is generated. */
export function promptRoom(
  { manifest, capacity, encoderCapacity }: ReadyModel,
  toGenerate: AskedTokens,
): number {
  if (manifest.graphs.encoder) return encoderCapacity;
  return toGenerate.asked === 0 ? capacity : capacity - 1;
}

/** Most tokens the prompt may have, with room for all that is generated. */
function roomBeside({ model: { manifest, capacity, encoderCapacity }, toGenerate }: PromptReading): number {
  if (manifest.graphs.encoder) return encoderCapacity;
  const { asked, fallback } = toGenerate;
  const generated = asked ?? (fallback < capacity ? fallback : 1);
  return Math.max(1, capacity - generated);
}

/** How many of the last tokens to keep; null: all, or the prompt is refused. */
function readTruncation(reading: PromptReading): number | null {
  const { truncateTo, room } = reading;
  if (truncateTo === null) return null;
  if (truncateTo === -1) return roomBeside(reading);
  if (truncateTo >= 1 && truncateTo <= room) return truncateTo;
  throw invalidRequest(
    'truncate_prompt_tokens',
    `\`truncate_prompt_tokens\` must be -1 or a whole number from 1 to ${room}, the most this model takes; not ${truncateTo}.`,
  );
}

/** @throws ServiceError `invalid_request` for a token that a text model alone makes nothing of */
function refuseMedia(tokens: readonly number[], { model, param, name }: PromptReading): void {
  for (const [medium, ids] of Object.entries(model.manifest.mediaTokens)) {
    const at = tokens.findIndex((token) => ids.includes(token));
    if (at < 0) continue;
    throw invalidRequest(
      param,
      `${name} has the ${medium} token ${tokens[at]} at position ${at}; the model takes text only.`,
    );
  }
}

/** A prompt's tokens. @throws ServiceError `invalid_request` when they are none, too many, or not of text */
export async function readPrompt(
  prompt: string | readonly number[],
  reading: PromptReading,
): Promise<readonly number[]> {
  const { param, name, room } = reading;
  const kept = readTruncation(reading);
  const tooLong = (size: string) =>
    invalidRequest(param, `${name} has ${size}; the model takes at most ${room} tokens.`);
  if (typeof prompt === 'string' && kept === null && prompt.length > room * longestTokenBytes)
    throw tooLong(`${prompt.length} characters`);
  const { count, tokens } =
    typeof prompt === 'string'
      ? await encode(prompt, kept ?? room, reading)
      : { count: prompt.length, tokens: prompt.slice(-(kept ?? room)) };
  if (count === 0) throw invalidRequest(param, `${name} has no token.`);
  if (kept === null && count > room) throw tooLong(`${count} tokens`);
  checkTokenIds(param, tokens, reading.model.manifest.vocabSize);
  refuseMedia(tokens, reading);
  return tokens;
}

async function encode(
  text: string,
  last: number,
  { model, owner, addSpecialTokens }: PromptReading,
): Promise<{ count: number; tokens: readonly number[] }> {
  const [encoded] = await model.texts.encode({ texts: [text], addSpecialTokens, last }, owner);
  return { count: encoded!.count, tokens: Array.from(encoded!.tokens) };
}
