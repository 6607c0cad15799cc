import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { float32ToHalf } from '../../src/export/checkpoint/half-precision.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { float16Tensor } from '../../src/runtime/portable/onnxruntime-node-session.ts';

/** Inputs of a decoder-only graph for one run over a whole prompt, which asks for logits at each token. */
export function promptFeeds(manifest: Manifest, tokens: readonly number[]): Record<string, Tensor> {
  const count = tokens.length;
  const upTo = BigInt64Array.from(tokens, (_, n) => BigInt(n));
  const feeds: Record<string, Tensor> = {
    input_ids: new Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, count]),
    position_ids: new Tensor('int64', upTo, [1, count]),
    seqlens_k: new Tensor('int32', [count - 1], [1]),
    total_sequence_length: new Tensor('int32', [count], [1]),
    segments: new Tensor('int32', [], [0, 3]),
    logit_positions: new Tensor('int64', upTo, [count]),
  };
  const capacity = count + 3;
  manifest.cache.forEach(({ kvHeads, headSize }, layer) => {
    const dims = [1, kvHeads, capacity, headSize];
    for (const part of ['key', 'value']) {
      // NaN shows if the graph reads a position that was never written.
      const past = new Float32Array(kvHeads * capacity * headSize).fill(Number.NaN);
      feeds[`past_key_values.${layer}.${part}`] =
        manifest.precision === 'fp32'
          ? new Tensor('float32', past, dims)
          : float16Tensor(float32ToHalf(past), dims);
    }
  });
  return feeds;
}

/** Logits [tokens, vocabulary] at each token of a prompt, computed in one run of the exported decoder. */
export async function promptLogits(checkpoint: string, tokens: readonly number[]): Promise<Float32Array> {
  const { folder, manifest } = await ensureExport(checkpoint, 'fp32');
  const session = await InferenceSession.create(join(folder, manifest.graphs.decoder), {
    intraOpNumThreads: 1,
  });
  try {
    const { logits } = await session.run(promptFeeds(manifest, tokens), ['logits']);
    return logits!.data as Float32Array;
  } finally {
    await session.release();
  }
}
