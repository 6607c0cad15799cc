/**
 * T5's relative position bias as a table by distance, so that the graph needs one Gather instead of the bucket formula.
 * The table ends at `maxDistance`, because all distances from there on share the last bucket.
 */
export interface BiasTable {
  /** [distances, heads] */
  readonly dims: readonly [number, number];
  readonly values: Float32Array<ArrayBuffer>;
}

export interface BiasShape {
  numBuckets: number;
  maxDistance: number;
  numHeads: number;
}

/**
 * Decoder: row n is the bias of a key n positions before the query, n = 0..maxDistance.
 * @param embedding [numBuckets, heads]
 */
export function causalBiasTable(embedding: Float32Array, shape: BiasShape): BiasTable {
  const { numBuckets, maxDistance } = shape;
  const buckets = Array.from({ length: maxDistance + 1 }, (_, n) =>
    distanceBucket(n, numBuckets, maxDistance),
  );
  return gather(embedding, buckets, shape.numHeads);
}

/**
 * Encoder: row maxDistance + n is the bias of a key n positions after the query, n = −maxDistance..maxDistance. Keys
 * after the query use half of the buckets.
 * @param embedding [numBuckets, heads]
 */
export function bidirectionalBiasTable(embedding: Float32Array, shape: BiasShape): BiasTable {
  const { maxDistance } = shape;
  const half = shape.numBuckets / 2;
  const buckets = Array.from({ length: 2 * maxDistance + 1 }, (_, row) => {
    const after = row - maxDistance;
    return (after > 0 ? half : 0) + distanceBucket(Math.abs(after), half, maxDistance);
  });
  return gather(embedding, buckets, shape.numHeads);
}

/**
 * Returns the bucket of a distance n ≥ 0 (T5 paper, arXiv 1910.10683, section 2.1). Half of the buckets hold one
 * distance each, the others grow logarithmically up to maxDistance, and the last one holds all larger distances.
 *
 * Computes in float32 and in the order of Hugging Face's code, because models are trained with its rounding. The
 * rounding decides if the exact value is an integer, as for distance 64 of 128 in 16 buckets.
 */
export function distanceBucket(n: number, numBuckets: number, maxDistance: number): number {
  const exact = Math.floor(numBuckets / 2);
  if (n < exact) return n;
  const f = Math.fround;
  const growth = f(f(Math.log(f(n / exact))) / f(Math.log(maxDistance / exact)));
  return Math.min(exact + Math.trunc(f(growth * (numBuckets - exact))), numBuckets - 1);
}

function gather(embedding: Float32Array, buckets: readonly number[], heads: number): BiasTable {
  const values = new Float32Array(buckets.length * heads);
  buckets.forEach((bucket, row) => {
    values.set(embedding.subarray(bucket * heads, (bucket + 1) * heads), row * heads);
  });
  return { dims: [buckets.length, heads], values };
}
