import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';

export interface AskedTokens {
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
