import { Tensor } from 'onnxruntime-node';

/**
 * A float16 tensor over the bits given. Tensor's constructor would make a Float16Array of them where JavaScript has
 * one, which the native side of onnxruntime-node 1.30 takes for an empty array.
 */
export function float16Tensor(bits: Uint16Array, dims: readonly number[]): Tensor {
  return Object.assign(new Tensor('uint16', bits, dims), { type: 'float16' });
}
