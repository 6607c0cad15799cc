import { describe, expect, it } from 'vitest';
import { promptTokenLogprobs } from '../../src/sampling/token-logprobs.ts';

describe('log probabilities of a prompt token', () => {
  it('are those of its logits, with its rank', () => {
    const { logprob, rank, top } = promptTokenLogprobs(Float32Array.of(0, 2, 1), 2, 2);
    const sum = Math.log(1 + Math.exp(2) + Math.exp(1));
    expect(logprob).toBeCloseTo(1 - sum, 12);
    expect(rank).toBe(2);
    expect(top.map(({ token }) => token)).toEqual([1, 2]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('are refused by name where a logit is %d', (value) => {
    expect(() => promptTokenLogprobs(Float32Array.of(0, value, 1), 2, 0)).toThrow(/token 1\b/);
  });
});
