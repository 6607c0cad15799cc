import { tokenText } from '../../catalog/tokenizer/vocabulary.ts';
import type { ReadyModel } from '../models/find-model.ts';

/** The lowest log probability in answers, because JSON has no −∞. */
const floor = -9999;

/** A log probability as answers contain it. */
export const finite = (logprob: number): number => Math.max(floor, logprob);

/** The text of each single token, decoded once for an answer that contains it many times. */
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
