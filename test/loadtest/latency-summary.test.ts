import { expect, it } from 'vitest';
import { summarize } from '../../src/loadtest/latency-summary.ts';
import { randomStream } from '../../src/loadtest/load/random-stream.ts';

it('has the percentiles of the sorted values, within 0.1 %', () => {
  const random = randomStream(5, 'prompts');
  const values = Array.from({ length: 20_000 }, () => 2 ** (15 * random() - 3));
  const sorted = values.toSorted((a, b) => a - b);
  const summary = summarize(values)!;
  for (const [name, percent] of [
    ['p50', 50],
    ['p90', 90],
    ['p99', 99],
    ['p99.9', 99.9],
    ['max', 100],
  ] as const) {
    const exact = sorted[Math.ceil((percent / 100) * values.length) - 1]!;
    expect(Math.abs(summary[name] / exact - 1), name).toBeLessThan(0.0015);
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(Math.abs(summary.mean / mean - 1)).toBeLessThan(0.001);
  expect(summary.distribution.at(-1)).toEqual([summary.max, 1]);
});

it('holds an hour, nothing at all, and no values', () => {
  expect(summarize([3_600_000])!.max).toBeGreaterThan(3_590_000);
  expect(summarize([0])!.p99).toBe(0);
  expect(summarize([])).toBeNull();
});
