import { describe, expect, it } from 'vitest';
import { logarithm } from '../../src/sampling/token-logprobs.ts';
import { seededRandom } from '../support/seeded-random.ts';

describe('logarithm', () => {
  it('agrees with Math.log to 1e-15 of the result', () => {
    const random = seededRandom(2);
    let worst = { error: 0, x: 0 };
    for (let i = 0; i < 200_000; i++) {
      // Half of the values cover the whole range, half the range of sums of weights.
      const x = i % 2 === 0 ? 2 ** (2040 * random.next() - 1020) : 1 + random.next() * 300_000;
      const error = Math.abs(logarithm(x) / Math.log(x) - 1);
      if (!(error <= worst.error)) worst = { error, x };
    }
    expect(worst.error, `log(${worst.x})`).toBeLessThan(1e-15);
  });

  it('is exact where the result is', () => {
    expect(logarithm(1)).toBe(0);
    expect(logarithm(2)).toBe(Math.LN2);
    expect(logarithm(1 + Number.EPSILON)).toBe(Number.EPSILON);
  });

  it('grows with its argument', () => {
    const values = Array.from({ length: 50_000 }, (_, i) => logarithm(0.5 + i / 10_000));
    expect(values.findIndex((value, i) => i > 0 && !(value > values[i - 1]!))).toBe(-1);
  });
});
