import { tokenText } from '../../catalog/tokenizer/vocabulary.ts';
import type { ReadyModel } from '../models/find-model.ts';

/** JSON has no −∞. */
const floor = -9999;

/** A logarithmic probability as answers have it. */
export const finite = (logprob: number): number => Math.max(floor, logprob);

/** Tokens as texts of their own, each decoded once for an answer that names it many times. */
export class TokenTexts {
  readonly #vocabulary: Pick<ReadyModel['vocabulary'], 'tokenBytes'>;
  readonly #texts = new Map<number, string>();

  constructor(vocabulary: Pick<ReadyModel['vocabulary'], 'tokenBytes'>) {
    this.#vocabulary = vocabulary;
  }

  of(token: number): string {
    const known = this.#texts.get(token);
    if (known !== undefined) return known;
    const text = tokenText(this.#vocabulary.tokenBytes(token));
    this.#texts.set(token, text);
    return text;
  }
}
