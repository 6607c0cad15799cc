import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { copyCheckpoint } from '../../support/checkpoint-copy.ts';
import { readCheckpoint } from '../../support/read-checkpoint.ts';
import { float32, writeSafetensors } from '../../support/safetensors-writer.ts';

const [vocabulary, d, heads, size] = [64, 16, 3, 8];

/** Logits of one token after an empty cache and a made-up encoder side. */
async function firstLogits(checkpoint: string): Promise<Float32Array> {
  const { folder } = await ensureExport(checkpoint, 'fp32');
  const session = await InferenceSession.create(join(folder, 'decoder.onnx'), { intraOpNumThreads: 1 });
  const feeds: Record<string, Tensor> = {
    input_ids: new Tensor('int64', BigInt64Array.of(5n), [1, 1]),
    position_ids: new Tensor('int64', BigInt64Array.of(0n), [1, 1]),
    seqlens_k: new Tensor('int32', [0], [1]),
    total_sequence_length: new Tensor('int32', [1], [1]),
    logit_positions: new Tensor('int64', BigInt64Array.of(0n), [1]),
    encoder_lengths: new Tensor('int32', [2], [1]),
  };
  for (let layer = 0; layer < 3; layer += 1) {
    for (const part of ['key', 'value']) {
      const values = () =>
        new Tensor('float32', new Float32Array(heads * 4 * size).fill(0.5), [1, heads, 4, size]);
      feeds[`past_key_values.${layer}.${part}`] = values();
      feeds[`cross.${layer}.${part}`] = values();
    }
  }
  const { logits } = await session.run(feeds, ['logits']);
  await session.release();
  return logits!.data as Float32Array;
}

it('a tied head is the embedding table times d^-0.5', async () => {
  const tied = await copyCheckpoint('dense', { tie_word_embeddings: true });
  const untied = await copyCheckpoint('dense');
  const tensors = await readCheckpoint(untied);
  const table = new Float32Array(tensors['shared.weight']!.bytes.slice().buffer);
  const { 'lm_head.weight': _, ...without } = tensors;
  await writeSafetensors(join(tied, 'model.safetensors'), without);
  const scaled = float32(
    [vocabulary, d],
    [...table].map((value) => value * d ** -0.5),
  );
  await writeSafetensors(join(untied, 'model.safetensors'), { ...without, 'lm_head.weight': scaled });

  const [actual, expected] = [await firstLogits(tied), await firstLogits(untied)];
  const worst = expected.reduce((max, value, n) => Math.max(max, Math.abs(value - actual[n]!)), 0);
  expect(worst).toBeLessThan(1e-5);
  expect(Math.max(...expected)).toBeGreaterThan(0.1);
});
