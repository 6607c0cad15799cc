import { expect, it } from 'vitest';
import { poissonArrivals } from '../../bench/support/queueing/poisson-arrivals.ts';
import { serviceCurve } from '../../bench/support/queueing/service-curve.ts';
import { simulate } from '../../bench/support/queueing/simulate.ts';
import { seededRandom } from '../support/seeded-random.ts';

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

it.each([0.5, 0.8])('agrees with the M/D/1 queue at a load of %f', (load) => {
  const [tokens, stepMs] = [10, 1];
  const serviceMs = tokens * stepMs;
  const arrivals = poissonArrivals(seededRandom(3), (1000 * load) / serviceMs, 4000, () => tokens);
  const { served } = simulate({ instances: 1, slots: 1, curve: () => stepMs, arrivals, routing: 'turns' });
  // The Pollaczek–Khinchine formula for constant service times.
  const expectedMs = (load * serviceMs) / (2 * (1 - load));
  expect(mean(served.map(({ waitMs }) => waitMs)) / expectedMs).toBeCloseTo(1, 1);
  expect(served).toHaveLength(arrivals.length);
});

it('shares a step among the sequences in it', () => {
  const arrivals = [
    { atMs: 0, tokens: 2 },
    { atMs: 0, tokens: 2 },
    { atMs: 1, tokens: 1 },
  ];
  const { served } = simulate({ instances: 1, slots: 2, curve: (n) => 10 * n, arrivals, routing: 'turns' });
  expect(served).toEqual([
    { waitMs: 0, totalMs: 40 },
    { waitMs: 0, totalMs: 40 },
    { waitMs: 39, totalMs: 49 },
  ]);
});

it('finds the free instance by the shortest queue, not in turns', () => {
  const arrivals = [
    { atMs: 0, tokens: 100 },
    { atMs: 1, tokens: 1 },
    { atMs: 50, tokens: 1 },
  ];
  const waitsOf = (routing: 'turns' | 'shortest') =>
    simulate({ instances: 2, slots: 1, curve: () => 1, arrivals, routing }).served.map(
      ({ waitMs }) => waitMs,
    );
  expect(Math.max(...waitsOf('turns'))).toBe(50);
  expect(Math.max(...waitsOf('shortest'))).toBe(0);
});

it('draws a curve through what was measured', () => {
  const curve = serviceCurve([
    { sequences: 1, tokensPerSecond: 1000 },
    { sequences: 4, tokensPerSecond: 1000 },
  ]);
  expect([1, 2, 4, 8].map(curve)).toEqual([1, 2, 4, 4]);
});
