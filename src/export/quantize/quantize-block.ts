/** Count of numbers that share a scale and a zero point. */
export const blockSize = 32;

export type QuantizedBits = 4 | 8;

/** Grids to try: steps across the block's range, relative to 2^bits − 1. Above 1, finer grids cut off extremes. */
const spans = [0.95, 1, 1.05, 1.12, 1.2];

/** Grid of one block: x ≈ scale · (code − zero). */
export interface BlockGrid {
  scale: number;
  zero: number;
}

/**
 * Quantises one block of finite numbers to codes 0..2^bits − 1. It tries several grids, each with the scale that fits
 * its codes best, and takes the one with the smallest squared error. Some grids cut off the block's extremes.
 *
 * For codes u and v = u − zero, the best scale is Σxv / Σv². It reduces the squared error Σx² by (Σxv)² / Σv².
 * @param codes receives the codes from index `at` on
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
    // Centre the grid: it overshoots the range, or falls short of it, equally on both sides.
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
    // `| 0` rounds to nearest here, because values below 0 become 0 anyway. int32 throughout halves the time.
    let code = (value * inverse + offset) | 0;
    if (code < 0) code = 0;
    else if (code > top) code = top;
    const v = (code - zero) | 0;
    product += value * v;
    square = (square + Math.imul(v, v)) | 0;
  }
  return square === 0 ? 0 : (product * product) / square;
}

/** @returns Σxv / Σv², rounded: with 8 bits to float32, because there a coarser scale costs as much as the codes do */
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
  return square === 0 ? 0 : top === 15 ? roundScale(product / square) : Math.fround(product / square);
}

/** Scales in which float16 has full precision, if they are multiplied by 4096: those of weights of every usual size. */
const narrowScales = { least: 2 ** -14 / 4096, most: 65_504 / 4096 };
const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/**
 * A scale of 11 significant bits, to nearest even: QuantizedMatMul keeps it in two bytes, which leaves a tenth fewer
 * bytes to read for each token. Those beyond float16's range are float32.
 */
export function roundScale(scale: number): number {
  float[0] = scale;
  const whole = float[0];
  floatBits[0] = (floatBits[0]! + 0xfff + ((floatBits[0]! >>> 13) & 1)) & ~0x1fff;
  const size = Math.abs(float[0]);
  return size >= narrowScales.least && size <= narrowScales.most ? float[0] : whole;
}
