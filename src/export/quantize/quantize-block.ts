/** Numbers that share a scale and a zero point. */
export const blockSize = 32;

export type QuantizedBits = 4 | 8;

/** How much finer or coarser than the block's range the grid may be: steps from its end to end, relative to 2^bits − 1. */
const spans = [0.95, 1, 1.05, 1.12, 1.2];

/** x ≈ scale · (code − zero) for one block. */
export interface BlockGrid {
  scale: number;
  zero: number;
}

/**
 * Quantises one block of finite numbers to codes 0..2^bits − 1. Of several grids, some of which cut off the block's
 * extremes, it takes the one with the least squared error; each is tried with the scale that fits its codes best.
 *
 * For codes u with v = u − zero the best scale is Σxv / Σv², and what it leaves of Σx² is less by (Σxv)² / Σv².
 * @param codes takes the codes, from `at` on
 */
export function quantizeBlock(
  values: Float32Array,
  start: number,
  bits: QuantizedBits,
  codes: Uint8Array,
  at: number,
): BlockGrid {
  const top = 2 ** bits - 1;
  let low = 0;
  let high = 0;
  for (let n = start; n < start + blockSize; n += 1) {
    const value = values[n]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const range = high - low;
  let best = 0;
  let inverse = 0;
  let zero = (top + 1) / 2;
  let otherZero = -1;
  for (const span of range > 0 ? spans : []) {
    const candidate = (top * span) / range;
    // Where the grid's ends overshoot the range, or fall short of it, they do so alike on both sides.
    const middle = (top - (low + high) * candidate) / 2;
    const nearest = Math.min(Math.max(Math.round(middle), 0), top);
    const gain = gainOf(values, start, candidate, nearest, top);
    if (gain <= best) continue;
    best = gain;
    inverse = candidate;
    zero = nearest;
    otherZero = middle > nearest ? nearest + 1 : nearest - 1;
  }
  if (otherZero >= 0 && otherZero <= top && gainOf(values, start, inverse, otherZero, top) > best)
    zero = otherZero;
  return { scale: writeCodes(values, start, inverse, zero, top, codes, at), zero };
}

/** (Σxv)² / Σv² */
function gainOf(values: Float32Array, start: number, inverse: number, zero: number, top: number): number {
  const offset = zero + 0.5;
  let product = 0;
  let square = 0;
  for (let n = start; n < start + blockSize; n += 1) {
    const value = values[n]!;
    // Cutting off the fraction rounds to nearest here, since what is below 0 becomes 0 anyway. All in int32: half the time.
    let code = (value * inverse + offset) | 0;
    if (code < 0) code = 0;
    else if (code > top) code = top;
    const v = (code - zero) | 0;
    product += value * v;
    square = (square + Math.imul(v, v)) | 0;
  }
  return square === 0 ? 0 : (product * product) / square;
}

/** @returns Σxv / Σv², as a float32 */
function writeCodes(
  values: Float32Array,
  start: number,
  inverse: number,
  zero: number,
  top: number,
  codes: Uint8Array,
  at: number,
): number {
  let product = 0;
  let square = 0;
  for (let n = 0; n < blockSize; n += 1) {
    const value = values[start + n]!;
    const code = Math.min(Math.max(Math.floor(value * inverse + zero + 0.5), 0), top);
    codes[at + n] = code;
    product += value * (code - zero);
    square += (code - zero) ** 2;
  }
  return square === 0 ? 0 : Math.fround(product / square);
}
