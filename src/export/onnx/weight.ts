/** A float32 initializer whose values arrive in pieces, so that no model need fit in memory. */
export interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  /** Little-endian float32, row by row, 4 × the product of `dims` bytes in all. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export function byteLengthOf(weight: Weight): number {
  return 4 * weight.dims.reduce((product, size) => product * size, 1);
}

/** A weight computed by the exporter and small enough to hold. */
export function weightOf(name: string, dims: readonly number[], values: Float32Array): Weight {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, dims, chunks: () => [bytes] };
}
