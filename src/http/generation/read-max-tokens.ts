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
 * Tokens to generate after a prompt of `promptLength` tokens.
 * @throws ServiceError `invalid_request` with the numbers when more is asked for than fits
 */
export function readMaxTokens(
  { param, asked, fallback }: AskedTokens,
  promptLength: number,
  { capacity, manifest }: ReadyModel,
): number {
  const room = manifest.graphs.encoder ? capacity : capacity - promptLength;
  if (asked === null) return Math.min(fallback, room);
  if (asked <= room) return asked;
  throw invalidRequest(
    param,
    manifest.graphs.encoder
      ? `\`${param}\` is ${asked}; this model generates at most ${room}.`
      : `The prompt's ${promptLength} tokens and \`${param}\` of ${asked} are more than this model's ${capacity}.`,
  );
}
