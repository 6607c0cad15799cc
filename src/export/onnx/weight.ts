import { bytesPerElement, type ElementType } from './values.ts';

/** An initializer of the model file. */
export interface TensorInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
}

/** The next bytes of one of a weight's tensors. */
export interface WeightChunk {
  /** Index into `tensors`. */
  readonly tensor: number;
  readonly bytes: Uint8Array;
}

/**
 * Initializers made in one pass over their source: one, or a quantised matrix and its scales. The values arrive in
 * pieces, so that no model need fit in memory.
 */
export interface Weight {
  readonly tensors: readonly TensorInfo[];
  /** Little-endian, row by row; tensors may take turns. */
  chunks(): AsyncIterable<WeightChunk> | Iterable<WeightChunk>;
}

export function elementCountOf({ dims }: Pick<TensorInfo, 'dims'>): number {
  return dims.reduce((product, size) => product * size, 1);
}

export function byteLengthOf(tensor: TensorInfo): number {
  return bytesPerElement[tensor.type] * elementCountOf(tensor);
}

/** A float32 weight computed by the exporter and small enough to hold. */
export function weightOf(name: string, dims: readonly number[], values: Float32Array): Weight {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { tensors: [{ name, type: 'float32', dims }], chunks: () => [{ tensor: 0, bytes }] };
}
