/** float32 value of each of the 65,536 half-precision numbers, made when the first one is needed. */
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
