import { exponential } from './exponential.ts';

/**
 * Weights of tokens are whole numbers, and all of a vocabulary add up to at most 2^53. So every sum of them is exact, in
 * whatever order it is computed: one after another here, in lanes by the native sampler, in parallel on a GPU.
 */

/** Weight of the most likely of `vocabSize` tokens: a power of two, 2^35 for 262,144 tokens. */
export function topWeight(vocabSize: number): number {
  return 2 ** (53 - Math.max(2, Math.ceil(Math.log2(vocabSize))));
}

/** Adding and subtracting it rounds a smaller positive number to a whole one, halves to even. */
const rounds = 2 ** 52;

/** exp(x) for x ≤ 0 as a share of `top`, rounded to a whole number. */
export function weight(x: number, top: number): number {
  return exponential(x) * top + rounds - rounds;
}
