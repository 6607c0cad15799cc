import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';
import { checkTokenIds } from './vocabulary.ts';

/** No vocabulary has longer tokens: text beyond this many bytes a token need not be tokenized to know it is too long. */
const longestTokenBytes = 128;

export interface PromptReading {
  model: ReadyModel;
  /** The field at fault where the prompt is. */
  param: string;
  /** How messages call it. */
  name: string;
  /** Run the tokenizer's post-processor over a text. */
  addSpecialTokens: boolean;
  /** As the request has it: tokens to keep of a longer prompt, -1 for all there is room for; null: refuse it. */
  truncateTo: number | null;
  /** Tokens that will be generated at least. */
  generates: number;
}

/** Most tokens the prompt may have. */
function roomOf({ model: { manifest, capacity, encoderCapacity }, generates }: PromptReading): number {
  return manifest.graphs.encoder ? encoderCapacity : capacity - generates;
}

/** How many of the last tokens to keep; null: all, or the prompt is refused. */
function readTruncation(truncateTo: number | null, room: number): number | null {
  if (truncateTo === null) return null;
  if (truncateTo === -1) return room;
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
  const { model, param, name, addSpecialTokens, truncateTo } = reading;
  const room = roomOf(reading);
  const kept = readTruncation(truncateTo, room);
  const tooLong = (size: string) =>
    invalidRequest(param, `${name} has ${size}; the model takes at most ${room} tokens.`);
  if (typeof prompt !== 'string') checkTokenIds(param, prompt, model.manifest.vocabSize);
  else if (kept === null && prompt.length > room * longestTokenBytes)
    throw tooLong(`${prompt.length} characters`);
  const tokens = typeof prompt === 'string' ? await model.encode(prompt, addSpecialTokens) : prompt;
  if (tokens.length === 0) throw invalidRequest(param, `${name} has no token.`);
  refuseMedia(tokens, reading);
  if (kept !== null) return tokens.slice(-kept);
  if (tokens.length > room) throw tooLong(`${tokens.length} tokens`);
  return tokens;
}
