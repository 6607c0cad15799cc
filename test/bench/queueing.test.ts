import { describe, expect, it } from 'vitest';
import { poissonArrivals } from '../../bench/support/queueing/poisson-arrivals.ts';
import { serviceCurve } from '../../bench/support/queueing/service-curve.ts';
import { type Routing, simulate } from '../../bench/support/queueing/simulate.ts';
import type { Arrival } from '../../bench/support/queueing/simulated-instance.ts';
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
    { waitMs: 0, firstTokenMs: 20, totalMs: 40, cached: 0 },
    { waitMs: 0, firstTokenMs: 20, totalMs: 40, cached: 0 },
    { waitMs: 39, firstTokenMs: 49, totalMs: 49, cached: 0 },
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

it('slows instances down that share a processor', () => {
  const arrivals = [0, 0, 100].map((atMs) => ({ atMs, tokens: 1 }));
  const [instances, slots, curve] = [2, 1, () => 10];
  const totals = (processors: number) =>
    simulate({
      instances,
      processors: { generating: processors, prompts: instances },
      slots,
      curve,
      arrivals,
      routing: 'turns',
    }).served.map(({ totalMs }) => totalMs);
  expect(totals(2)).toEqual([10, 10, 10]);
  expect(totals(1)).toEqual([20, 20, 10]);
});

describe('conversations', () => {
  const prompt = (conversation: number, tokens = 100) => ({ tokens, conversation, beginning: 1, common: 60 });
  const costs = { promptMs: 1, stretch: 3, stepMs: 40 };
  const shared = { instances: 2, slots: 2, curve: () => 10, costs };

  it('have other processors than generating sequences', () => {
    const arrivals = [1, 2].map((conversation) => ({ atMs: 0, tokens: 1, prompt: prompt(conversation) }));
    const firstTokens = (prompts: number) =>
      simulate({
        ...shared,
        processors: { generating: 1, prompts },
        arrivals,
        routing: 'turns',
      }).served.map(({ firstTokenMs }) => firstTokenMs);
    expect(firstTokens(2)).toEqual([100, 100]);
    expect(firstTokens(1)).toEqual([200, 200]);
  });

  it('compute a prompt in steps, shorter ones beside generating sequences', () => {
    const arrivals = [
      { atMs: 0, tokens: 30 },
      { atMs: 1, tokens: 1, prompt: prompt(1) },
    ];
    const { served } = simulate({ ...shared, instances: 1, arrivals, routing: 'turns' });
    // 10 ms, then 30 ms with 20 tokens each, until 100 are computed.
    expect(served[0]).toEqual({ waitMs: 9, firstTokenMs: 159, totalMs: 159, cached: 0 });
    const alone = simulate({ ...shared, arrivals: arrivals.slice(1), routing: 'turns' });
    expect(alone.served[0]!.firstTokenMs).toBe(100);
  });

  it('reuse what they share with others, and all of their own, where the router sends them', () => {
    const arrivals = [1, 2, 3].map((each) => ({ atMs: 1000 * each, tokens: 5, prompt: prompt(each) }));
    const cachedBy = (routing: Routing) => {
      const next = ({ prompt: last, tokens }: Arrival, nowMs: number) =>
        last!.tokens < 120
          ? { atMs: nowMs, tokens, prompt: prompt(last!.conversation, last!.tokens + 25) }
          : undefined;
      return simulate({ ...shared, arrivals, routing, next }).served.map(({ cached }) => cached);
    };
    expect(cachedBy('prefix')).toEqual([0, 105, 60, 105, 60, 105]);
    expect(cachedBy('turns')).toEqual([0, 0, 60, 60, 60, 60]);
  });
});

it('draws a curve through what was measured', () => {
  const curve = serviceCurve([
    { sequences: 1, tokensPerSecond: 1000 },
    { sequences: 4, tokensPerSecond: 1000 },
  ]);
  expect([1, 2, 4, 8].map(curve)).toEqual([1, 2, 4, 4]);
});
