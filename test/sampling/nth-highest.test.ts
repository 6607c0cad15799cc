import { expect, it } from 'vitest';
import { nthHighest } from '../../src/sampling/candidates.ts';
import { seededRandom } from '../support/seeded-random.ts';

it('finds the n-th highest value, with few and with many equal ones', () => {
  const random = seededRandom(11);
  for (let round = 0; round < 400; round++) {
    const length = 1 + random.below(60);
    const levels = 1 + random.below(80);
    const values = Float64Array.from({ length: length + 5 }, () => random.below(levels));
    if (random.next() < 0.2) values[random.below(length)] = Number.NEGATIVE_INFINITY;
    const sorted = [...values.subarray(0, length)].sort((a, b) => b - a);
    const n = 1 + random.below(length);
    expect(nthHighest(values, length, n)).toBe(sorted[n - 1]);
  }
});

it('stays fast on sorted and on constant values', () => {
  const length = 200_000;
  const sorted = Float64Array.from({ length }, (_, i) => i);
  expect(nthHighest(sorted, length, 1000)).toBe(length - 1000);
  expect(nthHighest(new Float64Array(length).fill(3), length, length / 2)).toBe(3);
});
