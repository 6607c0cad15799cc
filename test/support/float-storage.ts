import {
  bfloat16ToFloat32,
  float32ToHalf,
  halfToFloat32,
} from '../../src/export/checkpoint/half-precision.ts';

export type FloatType = 'float32' | 'float16' | 'bfloat16';

/** Half a unit in the last place of a number near 1: the maximum error of rounding to the type. */
export const rounding: Record<FloatType, number> = {
  float32: 2 ** -24,
  float16: 2 ** -11,
  bfloat16: 2 ** -8,
};

/** float32 → bytes of the type. bfloat16 truncates instead of rounding, which is as good for tests. */
export function toStorage(type: FloatType, values: Float32Array): Uint8Array {
  if (type === 'float32') return new Uint8Array(values.slice().buffer);
  if (type === 'float16') return new Uint8Array(float32ToHalf(values).buffer);
  const words = new Uint32Array(values.slice().buffer);
  return new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer);
}

/** Bytes of the type → float32, exactly. */
export function fromStorage(type: FloatType, bytes: Uint8Array): Float32Array {
  const copy = bytes.slice().buffer;
  if (type === 'float32') return new Float32Array(copy);
  const halves = new Uint16Array(copy);
  return type === 'float16' ? halfToFloat32(halves) : bfloat16ToFloat32(halves);
}
