import { describe, expect, it } from 'vitest';
import { bfloat16ToFloat32, halfToFloat32 } from '../../../src/export/checkpoint/half-precision.ts';

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
});
