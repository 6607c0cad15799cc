/** float32 values of all 65,536 half-precision numbers, computed on first use. */
let halves: Float32Array<ArrayBuffer> | null = null;

/** IEEE 754 binary16: 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** float16 bits → float32, exactly. */
export function halfToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  halves ??= Float32Array.from({ length: 65_536 }, (_, value) => halfValue(value));
  const table = halves;
  const values = new Float32Array(bits.length);
  for (let n = 0; n < bits.length; n += 1) values[n] = table[bits[n]!]!;
  return values;
}

/** bfloat16 bits → float32, exactly: bfloat16 is the upper half of a float32. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let n = 0; n < bits.length; n += 1) words[n] = bits[n]! << 16;
  return new Float32Array(words.buffer);
}

/** float32 → float16 bits, rounded to nearest, ties to even; values too large become infinity. */
export function float32ToHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let n = 0; n < words.length; n += 1) halves[n] = halfBits(words[n]!);
  return halves;
}

/** float32 → bfloat16 bits, rounded to nearest, ties to even; NaN stays NaN. */
export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let n = 0; n < words.length; n += 1) {
    const word = words[n]!;
    const isNumber = (word & 0x7fffffff) <= 0x7f800000;
    halves[n] = isNumber ? roundedShift(word, 16) : (word >>> 16) | 0x40;
  }
  return halves;
}

/** The half-precision number nearest to a float32, both as bits. */
function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  // 65,520 is half-way between the largest half and the next power of two: values from there on become infinity.
  if (magnitude >= 0x477ff000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  // Normal numbers: rebias the exponent from 127 to 15, drop 13 fraction bits. A carry into the exponent is correct.
  if (magnitude >= 0x38800000) return sign | roundedShift(magnitude - 0x38000000, 13);
  // Subnormals count in units of 2⁻²⁴; values below half of the smallest become zero.
  const shift = 126 - (magnitude >>> 23);
  return shift > 24 ? sign : sign | roundedShift((magnitude & 0x7fffff) | 0x800000, shift);
}

/** value / 2^shift, rounded to nearest, ties to even. */
function roundedShift(value: number, shift: number): number {
  const odd = (value >>> shift) & 1;
  return (value + (1 << (shift - 1)) - 1 + odd) >>> shift;
}
