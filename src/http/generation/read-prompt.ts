import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { ReadyModel } from '../models/find-model.ts';

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

interface AskedTokens {
  /** The field that says how many to generate. */
  param: string;
  /** null: it says nothing. */
  asked: number | null;
  /** Where it says nothing: as many, or the room where that is less. */
  fallback: number;
}

/**
 * Tokens to generate after those the decoder reads: the prompt's, or those of an encoder-decoder model's prefix.
 * @throws ServiceError `invalid_request` with the numbers when more is asked for than fits
 */
export function readMaxTokens(
  { param, asked, fallback }: AskedTokens,
  { length }: readonly number[],
  { capacity, manifest }: ReadyModel,
): number {
  const room = capacity - length;
  if (asked === null) return Math.min(fallback, room);
  if (asked <= room) return asked;
  throw invalidRequest(
    param,
    manifest.graphs.encoder
      ? `\`${param}\` is ${asked}; this model generates at most ${room}${length === 0 ? '' : ` after a prefix of ${length} tokens`}.`
      : `The prompt's ${length} tokens and \`${param}\` of ${asked} are more than this model's ${capacity}.`,
  );
}

/** @throws ServiceError `invalid_request` naming the first id that the model has no token for */
export function checkTokenIds(param: string, ids: readonly number[], vocabSize: number): void {
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined) {
    throw invalidRequest(
      param,
      `\`${param}\` has the token id ${outside}, outside the vocabulary of ids from 0 to ${vocabSize - 1}.`,
    );
  }
}
