import { describe, expect, it } from 'vitest';
import { philox4x32, uniform } from '../../src/sampling/random.ts';

describe('philox4x32', () => {
  // Known-answer vectors published with Random123 (philox4x32, 10 rounds).
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('counter %j, key %j', (counter, key, expected) => {
    expect(philox4x32([...counter], [...key])).toEqual([...expected]);
  });

  it('multiplies like 64-bit integers', () => {
    const mask = 0xffffffffn;
    const reference = (counter: bigint[], key: bigint[]): number[] => {
      let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint];
      let [k0, k1] = key as [bigint, bigint];
      for (let round = 0; round < 10; round++) {
        const p0 = 0xd2511f53n * c0;
        const p1 = 0xcd9e8d57n * c2;
        [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
        [k0, k1] = [(k0 + 0x9e3779b9n) & mask, (k1 + 0xbb67ae85n) & mask];
      }
      return [c0, c1, c2, c3].map(Number);
    };
    for (let i = 0; i < 2000; i++) {
      const words = philox4x32([i, 1, 2, 3], [4, 5]);
      const expected = reference(words.map(BigInt), [BigInt(words[3]), BigInt(words[0])]);
      expect(philox4x32(words, [words[3], words[0]])).toEqual(expected);
    }
  });
});

describe('uniform', () => {
  it('depends on seed, position and draw alone, and on each of them', () => {
    expect(uniform([1, 2], 3, 0)).toBe(uniform([1, 2], 3, 0));
    const others = [
      uniform([2, 2], 3, 0),
      uniform([1, 3], 3, 0),
      uniform([1, 2], 4, 0),
      uniform([1, 2], 3, 1),
    ];
    expect(new Set([uniform([1, 2], 3, 0), ...others]).size).toBe(5);
  });

  it('never reaches 0 or 1', () => {
    const values = Array.from({ length: 20_000 }, (_, position) => uniform([7, 7], position, 1));
    expect(values.every((value) => value > 0 && value < 1)).toBe(true);
  });

  it('is even over its range', () => {
    const bins = new Array(20).fill(0);
    const draws = 20_000;
    for (let position = 0; position < draws; position++) {
      bins[Math.floor(uniform([42, 0], position, 0) * 20)] += 1;
    }
    const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    // 99.9th percentile for 19 degrees of freedom.
    expect(chiSquare).toBeLessThan(43.8);
  });
});
