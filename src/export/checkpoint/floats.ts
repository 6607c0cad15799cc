import { bytesPerElement, type Dtype } from './dtypes.ts';
import { bfloat16ToFloat32, float32ToBfloat16, float32ToHalf, halfToFloat32 } from './half-precision.ts';

/** Dtypes of stored weights. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

export const isFloatDtype = (dtype: Dtype): dtype is FloatDtype =>
  dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';

/** Stored bytes → numbers, exactly. */
export function toFloat32(stored: Uint8Array<ArrayBuffer>, dtype: FloatDtype): Float32Array<ArrayBuffer> {
  const bits = () => new Uint16Array(stored.buffer, 0, stored.byteLength / bytesPerElement[dtype]);
  if (dtype === 'F16') return halfToFloat32(bits());
  if (dtype === 'BF16') return bfloat16ToFloat32(bits());
  return new Float32Array(stored.buffer);
}

/** Numbers → stored bytes, rounded to nearest, ties to even. */
export function bytesOf(values: Float32Array<ArrayBuffer>, dtype: FloatDtype): Uint8Array<ArrayBuffer> {
  if (dtype === 'F16') return new Uint8Array(float32ToHalf(values).buffer);
  if (dtype === 'BF16') return new Uint8Array(float32ToBfloat16(values).buffer);
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
