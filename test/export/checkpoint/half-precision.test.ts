import { describe, expect, it } from 'vitest';
import {
  bfloat16ToFloat32,
  float32ToHalf,
  halfToFloat32,
} from '../../../src/export/checkpoint/half-precision.ts';

describe('half precision', () => {
  it.each<[string, number, number]>([
    ['zero', 0x0000, 0],
    ['minus zero', 0x8000, -0],
    ['one', 0x3c00, 1],
    ['minus two', 0xc000, -2],
    ['the number next to one', 0x3c01, 1 + 2 ** -10],
    ['the largest', 0x7bff, 65504],
    ['the smallest normal', 0x0400, 2 ** -14],
    ['the largest subnormal', 0x03ff, 2 ** -14 - 2 ** -24],
    ['the smallest subnormal', 0x8001, -(2 ** -24)],
    ['infinity', 0x7c00, Number.POSITIVE_INFINITY],
    ['minus infinity', 0xfc00, Number.NEGATIVE_INFINITY],
    ['not a number', 0x7e00, Number.NaN],
  ])('float16: %s', (_what, bits, value) => {
    expect(halfToFloat32(Uint16Array.of(bits))[0]).toBe(value);
  });

  it.each<[string, number, number]>([
    ['minus zero', 0x8000, -0],
    ['one', 0x3f80, 1],
    ['the number next to one', 0x3f81, 1 + 2 ** -7],
    ['the smallest subnormal', 0x0001, 2 ** -133],
    ['the largest', 0x7f7f, (2 - 2 ** -7) * 2 ** 127],
    ['minus infinity', 0xff80, Number.NEGATIVE_INFINITY],
    ['not a number', 0x7fc0, Number.NaN],
  ])('bfloat16: %s', (_what, bits, value) => {
    expect(bfloat16ToFloat32(Uint16Array.of(bits))[0]).toBe(value);
  });

  it('float16: every number there and back', () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, n) => n);
    const back = float32ToHalf(halfToFloat32(bits));
    const isNumber = (n: number) => (n & 0x7fff) <= 0x7c00;
    expect(bits.filter((n) => isNumber(n) && back[n] !== n)).toEqual(Uint16Array.of());
    expect(bits.filter((n) => !isNumber(n)).every((n) => !isNumber(back[n]!))).toBe(true);
  });

  it('float16: from float32 to the nearest, ties to even', () => {
    const neighbours = (bits: number) =>
      [...halfToFloat32(Uint16Array.of(bits, bits + 1))] as [number, number];
    for (const bits of [0, 1, 2, 0x3ff, 0x400, 0x401, 0x3bff, 0x3c00, 0x3c01, 0x7bfe]) {
      const [low, high] = neighbours(bits);
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const below = low + (high - low) * 0.499;
      const above = low + (high - low) * 0.501;
      expect([...float32ToHalf(Float32Array.of(below, middle, above))]).toEqual([bits, even, bits + 1]);
      expect([...float32ToHalf(Float32Array.of(-below, -middle, -above))]).toEqual(
        [bits, even, bits + 1].map((half) => half | 0x8000),
      );
    }
  });

  it('float16: too large becomes infinity, too small zero', () => {
    const values = Float32Array.of(
      65_519,
      65_520,
      1e30,
      -1e30,
      2 ** -25,
      2 ** -25 * 1.0001,
      -1e-40,
      Number.NaN,
    );
    expect([...float32ToHalf(values)]).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 1, 0x8000, 0x7e00]);
  });
});
