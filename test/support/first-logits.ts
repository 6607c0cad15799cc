import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Precision } from '../../src/catalog/manifest.ts';
import { float32ToHalf } from '../../src/export/checkpoint/half-precision.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { float16Tensor } from '../../src/runtime/portable/onnxruntime-node-session.ts';

/** A checkpoint's decoder logits after token 5, with made-up encoder output. */
export async function firstLogits(checkpoint: string, precision: Precision = 'fp32'): Promise<Float32Array> {
  const { folder, manifest } = await ensureExport(checkpoint, precision);
  const isHalf = precision === 'fp16';
  const session = await InferenceSession.create(join(folder, 'decoder.onnx'), { intraOpNumThreads: 1 });
  const feeds: Record<string, Tensor> = {
    input_ids: new Tensor('int64', BigInt64Array.of(5n), [1, 1]),
    position_ids: new Tensor('int64', BigInt64Array.of(0n), [1, 1]),
    seqlens_k: new Tensor('int32', [0], [1]),
    total_sequence_length: new Tensor('int32', [1], [1]),
    logit_positions: new Tensor('int64', BigInt64Array.of(0n), [1]),
    encoder_lengths: new Tensor('int32', [2], [1]),
  };
  manifest.cross.forEach(({ heads, headSize }, layer) => {
    for (const part of ['key', 'value']) {
      const values = Float32Array.from({ length: heads * 4 * headSize }, (_, n) => Math.sin(n + layer));
      for (const name of ['past_key_values', 'cross']) {
        const dims = [1, heads, 4, headSize];
        feeds[`${name}.${layer}.${part}`] = isHalf
          ? float16Tensor(float32ToHalf(values), dims)
          : new Tensor('float32', values.slice(), dims);
      }
    }
  });
  try {
    const { logits } = await session.run(feeds, ['logits']);
    return logits!.data as Float32Array;
  } finally {
    await session.release();
  }
}
