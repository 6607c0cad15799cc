import { describe, expect, it } from 'vitest';
import {
  bidirectionalBiasTable,
  causalBiasTable,
  distanceBucket,
} from '../../../src/export/families/t5/relative-bias.ts';

/** The first distance of each bucket. */
function bucketStarts(numBuckets: number, maxDistance: number): number[] {
  const starts: number[] = [];
  for (let n = 0; n <= maxDistance; n += 1) starts[distanceBucket(n, numBuckets, maxDistance)] ??= n;
  return [...starts].map((start) => start ?? -1);
}

describe('distanceBucket', () => {
  // Expected values: _relative_position_bucket of Hugging Face's modeling_t5.py, run in float32.
  it.each([
    [
      32,
      128,
      [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67,
        77, 87, 99, 113,
      ],
    ],
    [16, 128, [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]],
    [16, 20, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 18]],
    [8, 20, [0, 1, 2, 3, 4, 6, 9, 14]],
    [
      32,
      256,
      [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 23, 27, 32, 39, 46, 54, 64, 77, 91, 108,
        128, 153, 182, 216,
      ],
    ],
  ])('%i buckets up to distance %i', (numBuckets, maxDistance, starts) => {
    expect(bucketStarts(numBuckets, maxDistance)).toEqual(starts);
  });

  it('keeps to the last bucket beyond the maximum', () => {
    expect([128, 129, 5000].map((n) => distanceBucket(n, 32, 128))).toEqual([31, 31, 31]);
  });
});

describe('bias tables', () => {
  // Bucket b of head h holds 10·b + h, so that each value shows its origin.
  const heads = 2;
  const embedding = Float32Array.from(
    { length: 16 * heads },
    (_, n) => 10 * Math.floor(n / heads) + (n % heads),
  );
  const shape = { numBuckets: 16, maxDistance: 20, numHeads: heads };

  it('causal: one row for each distance back', () => {
    const { dims, values } = causalBiasTable(embedding, shape);
    expect(dims).toEqual([21, 2]);
    for (let n = 0; n <= 20; n += 1) {
      const bucket = distanceBucket(n, 16, 20);
      expect([...values.subarray(2 * n, 2 * n + 2)]).toEqual([10 * bucket, 10 * bucket + 1]);
    }
  });

  it('bidirectional: keys before the query have the lower half of the buckets', () => {
    const { dims, values } = bidirectionalBiasTable(embedding, shape);
    expect(dims).toEqual([41, 2]);
    const ofHead0 = (after: number) => values[2 * (20 + after)];
    expect([0, -1, -4, -20].map(ofHead0)).toEqual([0, 10, 40, 70]);
    expect([1, 4, 20].map(ofHead0)).toEqual([90, 120, 150]);
  });
});
