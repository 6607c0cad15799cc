import { describe, expect, it } from 'vitest';
import { StepTimes } from '../../src/engine/scheduler/step-times.ts';
import { type SeededRandom, seededRandom } from '../support/seeded-random.ts';

const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

/** A machine on which a step has a fixed time and a time for each row, and a chunk's tokens have another. */
class Machine {
  fixedMs: number;
  rowMs: number;
  tokenMs: number;
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.fixedMs = 10 + 60 * random.next();
    this.rowMs = 0.1 * this.fixedMs * random.next();
    this.tokenMs = this.fixedMs * (0.03 + 0.1 * random.next());
  }

  decodeMs(rows: number): number {
    return this.fixedMs + rows * this.rowMs;
  }

  chunkMs(tokens: number): number {
    return this.fixedMs + tokens * this.tokenMs;
  }

  /** The longest chunk that takes at most `ms`. */
  tokensIn(ms: number): number {
    return Math.floor((ms - this.fixedMs) / this.tokenMs);
  }

  /** Does a step of `rows` with as long a chunk as `times` allows, of which `most` are left. */
  step(times: StepTimes, rows: number, most = 256): number {
    const tokens = Math.min(most, times.budget(rows, null).tokens);
    times.prefilled(tokens, this.#noisy(this.chunkMs(tokens)));
    if (rows > 0) times.decoded(rows, this.#noisy(this.decodeMs(rows)));
    return tokens;
  }

  #noisy(ms: number): number {
    return ms * (0.9 + 0.2 * this.#random.next());
  }
}

/** Steps with some rows and without, and prompts that end in chunks of any length. */
function learn(machine: Machine, random: SeededRandom, steps = 120): StepTimes {
  const times = new StepTimes(250);
  for (let step = 0; step < steps; step += 1) {
    const rows = Math.floor(step / 8) % 3 === 0 ? 0 : 1 + random.below(8);
    machine.step(times, rows, random.next() < 0.2 ? 1 + random.below(256) : 256);
  }
  return times;
}

describe('StepTimes', () => {
  it('begins with a short chunk', () => {
    const times = new StepTimes(250);
    expect(times.budget(0, null).tokens).toBe(16);
    expect(times.budget(3, null).tokens).toBe(16);
    expect(times.budget(0, 0).tokens).toBe(16);
    expect(times.decodeMs(3)).toBe(0);
    expect(times.prefillMs(100)).toBe(0);
  });

  it('sets no limit if there is none in time', () => {
    const times = new StepTimes(0);
    times.prefilled(16, 1000);
    times.decoded(1, 10);
    expect(times.budget(1, 5)).toEqual({ tokens: Number.POSITIVE_INFINITY, perChunk: 0 });
  });

  it.each(seeds)('lengthens steps to three times their time, and uses most of that (machine %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine(random);
    const times = learn(machine, random);
    for (const rows of [1, 2, 4, 8]) {
      for (let step = 0; step < 30; step += 1) machine.step(times, rows);
      const { tokens } = times.budget(rows, null);
      const most = 2 * machine.decodeMs(rows);
      // What takes less than it seems is found out one chunk at a time.
      if (tokens > 16) expect(machine.chunkMs(tokens)).toBeLessThan(1.2 * most);
      if (tokens < 256) expect(tokens).toBeGreaterThan(0.6 * Math.min(256, machine.tokensIn(most)));
    }
  });

  it.each(seeds)('keeps to the limit, or to eight decode steps, if nothing decodes (machine %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine(random);
    const times = learn(machine, random);
    for (let step = 0; step < 30; step += 1) machine.step(times, 0, 4096);
    const most = Math.max(250, 8 * machine.decodeMs(1));
    const { tokens } = times.budget(0, null);
    expect(machine.chunkMs(tokens)).toBeLessThan(1.2 * most);
    expect(tokens).toBeGreaterThan(0.6 * machine.tokensIn(most));
  });

  it.each(seeds)('expects no less time of more rows or more tokens, whatever was measured (%i)', (seed) => {
    const random = seededRandom(seed);
    const times = new StepTimes(250);
    for (let step = 0; step < 200; step += 1) {
      if (random.next() < 0.5) times.decoded(1 + random.below(16), 100 * random.next());
      else times.prefilled(1 + random.below(2000), 1000 * random.next());
      const decode = Array.from({ length: 20 }, (_, rows) => times.decodeMs(rows));
      expect(decode).toEqual(decode.toSorted((a, b) => a - b));
      const tokens = [4, 8, 16, 32, 64, 128].map((ms) => times.budget(0, ms).tokens);
      expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
      const budget = times.budget(1 + random.below(16), null);
      expect(budget.tokens).toBeGreaterThanOrEqual(16);
      expect(budget.perChunk).toBeGreaterThanOrEqual(0);
      expect(Object.values(budget).every(Number.isInteger)).toBe(true);
      expect(budget.perChunk).toBeLessThanOrEqual(budget.tokens);
    }
  });

  it.each(seeds)('is not misled by a step that something delayed (machine %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine(random);
    const times = learn(machine, random);
    for (let step = 0; step < 30; step += 1) machine.step(times, 2);
    const { tokens } = times.budget(2, null);
    times.prefilled(tokens, 50 * machine.chunkMs(tokens));
    expect(times.budget(2, null).tokens).toBeGreaterThanOrEqual(Math.floor(0.7 * tokens));
    const decodeMs = times.decodeMs(2);
    times.decoded(2, 50 * decodeMs);
    expect(times.decodeMs(2)).toBeLessThan(1.3 * decodeMs);
  });

  it.each([0.25, 0.5, 2, 4].flatMap((factor) => seeds.map((seed) => [factor, seed] as const)))(
    'follows a machine that takes %f times as long (machine %i)',
    (factor, seed) => {
      const random = seededRandom(seed);
      const machine = new Machine(random);
      const times = learn(machine, random);
      for (let step = 0; step < 30; step += 1) machine.step(times, 2);
      const before = times.budget(2, null).tokens;
      for (const time of ['fixedMs', 'rowMs', 'tokenMs'] as const) machine[time] *= factor;
      const longest = Math.max(...Array.from({ length: 30 }, () => machine.step(times, 2)));
      expect(machine.chunkMs(longest)).toBeLessThan(2 * 2 * machine.decodeMs(2));
      expect(times.decodeMs(2) / machine.decodeMs(2)).toBeGreaterThan(0.8);
      expect(times.decodeMs(2) / machine.decodeMs(2)).toBeLessThan(1.2);
      const after = times.budget(2, null).tokens;
      if (before < 256) expect(after).toBeGreaterThan(0.6 * before);
      if (after > 16) expect(machine.chunkMs(after)).toBeLessThan(1.3 * 2 * machine.decodeMs(2));
    },
  );

  it('counts what each further chunk takes on top of its tokens', () => {
    const times = new StepTimes(250);
    const chunkMs = (tokens: number) => 50 + 2 * tokens;
    for (let n = 0; n < 60; n += 1)
      for (const tokens of [8, 16, 32, 64, 100]) times.prefilled(tokens, chunkMs(tokens));
    const { tokens, perChunk } = times.budget(0, null);
    expect(chunkMs(tokens)).toBeLessThan(1.2 * 250);
    // Two chunks of this length take what one of `tokens` does.
    const each = Math.floor((tokens - perChunk) / 2);
    expect(2 * chunkMs(each)).toBeLessThan(1.2 * chunkMs(tokens));
  });

  it('lets prompts take twice the time in which this model and others decode', () => {
    const times = new StepTimes(250);
    times.prefilled(16, 32);
    times.decoded(1, 30);
    expect(times.budget(1, null).tokens).toBe(30);
    expect(times.budget(1, 20).tokens).toBe(50);
    expect(times.budget(0, 20).tokens).toBe(20);
    // Up to 10 ms are no pause.
    expect(times.budget(0, 0).tokens).toBe(16);
    expect(times.budget(0, null).tokens).toBe(125);
    times.decoded(1, 30);
    expect(times.prefillMs(100)).toBeCloseTo(200);
  });

  it.each(seeds)(
    'lets a packed run take almost three times as long as its rows alone (machine %i)',
    (seed) => {
      const random = seededRandom(seed);
      const machine = new Machine(random);
      const times = new StepTimes(250, true);
      const noisy = (ms: number) => ms * (0.9 + 0.2 * random.next());
      // Decode rows and prompt tokens are the same to a packed run.
      machine.rowMs = machine.tokenMs;
      for (let step = 0; step < 200; step += 1) {
        const rows = random.below(9);
        if (rows > 0 && random.next() < 0.5) times.decoded(rows, noisy(machine.chunkMs(rows)));
        const { tokens } = times.budget(rows, null);
        const most = Math.min(tokens, 256);
        times.packed({ rows, tokens: most }, noisy(machine.chunkMs(rows + most)));
      }
      for (const rows of [1, 2, 4, 8]) {
        const { tokens } = times.budget(rows, null);
        const wanted = machine.tokensIn(2.6 * machine.chunkMs(rows)) - rows;
        if (tokens > 8) expect(machine.chunkMs(rows + tokens)).toBeLessThan(1.2 * 3 * machine.chunkMs(rows));
        expect(tokens).toBeGreaterThan(0.5 * Math.min(256, wanted));
      }
    },
  );

  it.each(seeds)('learns what rows take while every step has a prompt too (machine %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine(random);
    const times = new StepTimes(250, true);
    machine.rowMs = machine.tokenMs;
    const step = (rows: number) => {
      const { tokens } = times.budget(rows, null);
      times.packed({ rows, tokens }, machine.chunkMs(rows + tokens));
      return tokens;
    };
    // A prompt of 4,000 tokens beside one sequence, from the first step on.
    let left = 4000;
    let steps = 0;
    for (; left > 0; steps += 1) left -= step(1);
    expect(steps).toBeLessThan(4000 / 12);
    for (const time of ['fixedMs', 'rowMs', 'tokenMs'] as const) machine[time] *= 3;
    const before = step(4);
    for (let i = 0; i < 60; i += 1) step(4);
    expect(step(4)).toBeGreaterThan(0.5 * before);
    expect(times.prefillMs(100)).toBeGreaterThan(50 * machine.tokenMs);
  });

  it('divides the time of a packed run', () => {
    const times = new StepTimes(250, true);
    const run = { rows: 2, tokens: 98 };
    expect(times.decodePart(run, 50)).toBe(1);
    expect(times.runMs(100)).toBe(1);
    times.decoded(2, 20);
    expect(times.decodePart(run, 50)).toBe(20);
    expect(times.decodePart(run, 15)).toBe(15);
    expect(times.decodePart({ rows: 0, tokens: 9 }, 50)).toBe(0);
    times.packed(run, 50);
    expect(times.prefillMs(98)).toBeCloseTo(30);
    expect(times.runMs(100)).toBeGreaterThan(times.runMs(2));
  });
});
