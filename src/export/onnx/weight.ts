import { bytesPerElement, type ElementType } from './values.ts';

/** An initializer of the model file. */
export interface TensorInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
}

/** The next bytes of one tensor of a weight. */
export interface WeightChunk {
  /** Index into `tensors`. */
  readonly tensor: number;
  readonly bytes: Uint8Array;
}

/**
 * Initializers made in one pass over their source: a single tensor, or a quantised matrix with its scales and zero
 * points. The values arrive in pieces, so that no model has to fit in memory.
 */
export interface Weight {
  readonly tensors: readonly TensorInfo[];
  /** Little-endian, row by row. Chunks of several tensors may alternate. */
  chunks(): AsyncIterable<WeightChunk> | Iterable<WeightChunk>;
}

export function elementCountOf({ dims }: Pick<TensorInfo, 'dims'>): number {
  return dims.reduce((product, size) => product * size, 1);
}

export function byteLengthOf(tensor: TensorInfo): number {
  return bytesPerElement[tensor.type] * elementCountOf(tensor);
}

/** A float32 weight that the exporter computed, small enough for memory. */
export function weightOf(name: string, dims: readonly number[], values: Float32Array): Weight {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { tensors: [{ name, type: 'float32', dims }], chunks: () => [{ tensor: 0, bytes }] };
}
