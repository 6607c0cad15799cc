import { describe, expect, it } from 'vitest';
import { exponential } from '../../src/sampling/exponential.ts';
import { seededRandom } from '../support/seeded-random.ts';

const bitsOf = (value: number) => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16);
};

describe('exponential', () => {
  it('agrees with Math.exp to 1e-15 where results are normal numbers', () => {
    const random = seededRandom(1);
    let worst = { error: 0, x: 0 };
    for (let i = 0; i < 200_000; i++) {
      // Half of the values cover the whole range, half the range that a sampler uses.
      const x = i % 2 === 0 ? -708 + random.next() * 1417 : -30 * random.next();
      const error = Math.abs(exponential(x) / Math.exp(x) - 1);
      if (!(error <= worst.error)) worst = { error, x };
    }
    expect(worst.error, `exp(${worst.x})`).toBeLessThan(1e-15);
  });

  it('is exact at 0 and ends cleanly', () => {
    expect(exponential(0)).toBe(1);
    expect(exponential(-0)).toBe(1);
    expect(exponential(-746)).toBe(0);
    expect(exponential(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(exponential(710)).toBe(Number.POSITIVE_INFINITY);
    expect(exponential(709.78) / Math.exp(709.78)).toBeCloseTo(1, 14);
    expect(exponential(-745.13)).toBe(Number.MIN_VALUE);
    expect(exponential(Number.NaN)).toBeNaN();
  });

  it('grows with its argument', () => {
    const values = Array.from({ length: 50_000 }, (_, i) => exponential(-50 + i / 1000));
    expect(values.findIndex((value, i) => i > 0 && !(value > values[i - 1]!))).toBe(-1);
  });

  // The snapshot detects changes to the algorithm, which would change seeded outputs.
  it('keeps its bits', () => {
    expect([-0.1, -1, -2.5, -10, -100.25, 3.75].map((x) => bitsOf(exponential(x)))).toMatchInlineSnapshot(`
      [
        "3fecf46d99d52b3a",
        "3fd78b56362cef38",
        "3fb50385c094f425",
        "3f07cd79b5647c9a",
        "36e4acd31e167ebb",
        "404542b2d0a266e7",
      ]
    `);
  });
});
