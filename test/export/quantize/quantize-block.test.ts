import { describe, expect, it } from 'vitest';
import {
  blockSize,
  type QuantizedBits,
  quantizeBlock,
  roundScale,
} from '../../../src/export/quantize/quantize-block.ts';
import { noise } from '../../support/noise.ts';

const next = noise(3);
const normal = () => Math.sqrt(-2 * Math.log((next() + 1) / 2 + 1e-9)) * Math.cos(Math.PI * next());
const blockOf = (value: (n: number) => number) =>
  Float32Array.from({ length: blockSize }, (_, n) => value(n));

/** Kinds of blocks that occur in weights, and some that should not. */
const kinds: Record<string, () => Float32Array> = {
  normal: () => blockOf(normal),
  'with an outlier': () => blockOf((n) => (n === 7 ? 9 : normal())),
  'heavy-tailed': () => blockOf(() => normal() ** 3),
  'all positive': () => blockOf(() => 3 + normal() * 0.1),
  'all negative': () => blockOf(() => -1 - Math.abs(normal())),
  uniform: () => blockOf(next),
  'mostly zero': () => blockOf((n) => (n % 8 === 0 ? normal() : 0)),
  tiny: () => blockOf(() => normal() * 1e-30),
  huge: () => blockOf(() => normal() * 1e30),
};

const squares = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value * value, 0);

function errorOf(
  values: Float32Array,
  grid: { scale: number; zero: number },
  codes: ArrayLike<number>,
): number {
  return squares(values.map((value, n) => value - grid.scale * (codes[n]! - grid.zero)));
}

function quantized(values: Float32Array, bits: QuantizedBits) {
  const codes = new Uint8Array(blockSize);
  const grid = quantizeBlock(values, 0, bits, codes, 0);
  return { codes, grid, error: errorOf(values, grid, codes) };
}

/** The error of quantization by range alone: the ends of the range are the first and the last code. */
function errorByRange(values: Float32Array, bits: number): number {
  const top = 2 ** bits - 1;
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const scale = (high - low) / top;
  const zero = Math.round(-low / scale);
  const codes = [...values].map((value) => Math.min(Math.max(Math.round(value / scale) + zero, 0), top));
  return errorOf(values, { scale, zero }, codes);
}

/** Minimum squared error over all grids with this zero. Codes are constant between the scales at which one changes. */
function leastError(values: Float32Array, zero: number, top: number): number {
  const inverses = [...values].flatMap((value) => {
    const steps = value > 0 ? top - zero : zero;
    return value === 0 ? [] : Array.from({ length: steps }, (_, k) => (k + 0.5) / Math.abs(value));
  });
  inverses.sort((a, b) => a - b);
  let best = squares(values);
  for (let i = 0; i < inverses.length; i += 1) {
    const inverse = i + 1 < inverses.length ? (inverses[i]! + inverses[i + 1]!) / 2 : inverses[i]! * 2;
    const codes = [...values].map((value) =>
      Math.min(Math.max(Math.round(value * inverse), -zero), top - zero),
    );
    const square = squares(codes);
    const scale = square === 0 ? 0 : codes.reduce((sum, v, n) => sum + v * values[n]!, 0) / square;
    best = Math.min(best, squares(values.map((value, n) => value - scale * codes[n]!)));
  }
  return best;
}

describe.each([4, 8] as const)('a block in %i bits', (bits) => {
  const top = 2 ** bits - 1;

  it.each(Object.entries(kinds))('%s: no worse than the grid that spans its range', (_kind, make) => {
    for (let round = 0; round < 50; round += 1) {
      const values = make();
      const { grid, error, codes } = quantized(values, bits);
      expect(grid.zero).toBeGreaterThanOrEqual(0);
      expect(grid.zero).toBeLessThanOrEqual(top);
      expect(Math.max(...codes)).toBeLessThanOrEqual(top);
      expect(Number.isInteger(grid.zero) && Math.fround(grid.scale) === grid.scale).toBe(true);
      // The scale is rounded to 11 bits, or to float32.
      const rounding = bits === 4 ? 2 ** -22 : 1e-12;
      expect(error).toBeLessThanOrEqual(errorByRange(values, bits) + rounding * squares(values));
    }
  });

  it('exact where the values lie on a grid', () => {
    for (let round = 0; round < 50; round += 1) {
      const zero = Math.floor((next() + 1) * 0.5 * (top - 1)) + 1;
      const values = blockOf(
        (n) => ((n === 0 ? 0 : n === 1 ? top : Math.floor((next() + 1) * 0.5 * top)) - zero) / 8,
      );
      expect(quantized(values, bits).error).toBeLessThan(1e-10);
    }
  });

  it('zeros stay zeros', () => {
    expect(
      quantized(
        blockOf(() => 0),
        bits,
      ),
    ).toMatchObject({ grid: { scale: 0 }, error: 0 });
  });

  it('gives no finite scale for what is not finite', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const { grid } = quantized(
        blockOf((n) => (n === 3 ? bad : 1)),
        bits,
      );
      expect(Number.isFinite(grid.scale)).toBe(false);
    }
  });
});

describe('the search', () => {
  const blocks = Array.from({ length: 60 }, () => kinds.normal!());
  const total = (error: (values: Float32Array) => number) =>
    blocks.reduce((sum, values) => sum + error(values), 0);
  const found = total((values) => quantized(values, 4).error);

  it('comes within 4 % of the least squared error of all grids', () => {
    const zeros = Array.from({ length: 16 }, (_, zero) => zero);
    const least = total((values) => Math.min(...zeros.map((zero) => leastError(values, zero, 15))));
    expect(found).toBeGreaterThan(least * 0.999);
    expect(found).toBeLessThan(least * 1.04);
  });

  it('beats every grid without a zero point of its own', () => {
    expect(found).toBeLessThan(
      total((values) => Math.min(leastError(values, 8, 15), leastError(values, 7, 15))),
    );
  });

  it('beats the range alone by 8 %', () => {
    expect(found).toBeLessThan(0.92 * total((values) => errorByRange(values, 4)));
  });
});

it('scales fit float16, times 4096, where that has full precision, and are float32 elsewhere', () => {
  const scales = [1, 0.1, 1 / 3, 16, 15.9999, 1.5e-8, 1.4e-8, 1e-30, 0, 1e30, Number.NaN];
  const rounded = scales.map(roundScale);
  const factors = rounded.map((scale, n) => scale / scales[n]!);
  for (const factor of factors.filter((each) => !Number.isNaN(each)))
    expect(Math.abs(factor - 1)).toBeLessThanOrEqual(2 ** -11);
  expect(rounded[2]).toBe(1365 / 4096);
  expect(rounded.slice(6)).toEqual([1.4e-8, 1e-30, 0, 1e30, Number.NaN].map(Math.fround));
  expect(roundScale(15.9999)).toBe(Math.fround(15.9999));
});
