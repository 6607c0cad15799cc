import { describe, expect, it } from 'vitest';
import { choiceSeed } from '../../../src/http/generation/generation-job.ts';

describe('choiceSeed', () => {
  it('is the client’s own for the first choice, in two halves', () => {
    expect(choiceSeed(7, 0)).toEqual([7, 0]);
    expect(choiceSeed(2 ** 32 + 5, 0)).toEqual([5, 1]);
    expect(choiceSeed(-1, 0)).toEqual([0xffffffff, 0xffffffff]);
    expect(choiceSeed(-(2 ** 63), 0)).toEqual([0, 0x80000000]);
  });

  it('differs by choice and by seed, and is the same again', () => {
    const seeds = [0, 1, 2].flatMap((seed) =>
      Array.from({ length: 128 }, (_, choice) => choiceSeed(seed, choice).join()),
    );
    expect(new Set(seeds).size).toBe(3 * 128);
    expect(choiceSeed(1, 5)).toEqual(choiceSeed(1, 5));
  });

  it('follows SplitMix64', () => {
    // The generator's first two outputs from state 0: the finalizer after one step and after two.
    expect(choiceSeed(0, 1)).toEqual([0x7b1dcdaf, 0xe220a839]);
    expect(choiceSeed(0, 2)).toEqual([0xa1b965f4, 0x6e789e6a]);
  });

  it('is random without a seed, all bits of it', () => {
    const seen = Array.from({ length: 64 }, () => choiceSeed(null, 0));
    expect(new Set(seen.map(String)).size).toBe(64);
    expect(Math.max(...seen.map(([, high]) => high))).toBeGreaterThan(2 ** 28);
  });
});
