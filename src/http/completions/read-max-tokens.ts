import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';

const defaultMaxTokens = 16;

/**
 * Tokens to generate after a prompt of `promptLength` tokens.
 * @param asked null: the default, or the room where that is less
 * @throws ServiceError `invalid_request` with the numbers when more is asked for than fits
 */
export function readMaxTokens(asked: number | null, promptLength: number, model: ReadyModel): number {
  const { capacity, manifest } = model;
  const room = manifest.graphs.encoder ? capacity : capacity - promptLength;
  if (asked === null) return Math.min(defaultMaxTokens, room);
  if (asked <= room) return asked;
  throw invalidRequest(
    'max_tokens',
    manifest.graphs.encoder
      ? `\`max_tokens\` is ${asked}; this model generates at most ${room}.`
      : `The prompt's ${promptLength} tokens and \`max_tokens\` of ${asked} are more than this model's ${capacity}.`,
  );
}
