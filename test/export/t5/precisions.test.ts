import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { precisions as all, type Precision } from '../../../src/catalog/manifest.ts';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { changeConfig, copyCheckpoint, copyShipped } from '../../support/checkpoint-copy.ts';
import { firstLogits } from '../../support/first-logits.ts';

/** ONNX Runtime computes bfloat16 only on GPUs. */
const onCpu = all.filter((precision) => precision !== 'bf16');

/** √(Σ(a − b)² / Σb²), both shifted to mean 0, because a softmax ignores a shift. */
function relativeDifference(a: Float32Array, b: Float32Array): number {
  const centred = (x: Float32Array) =>
    x.map((value) => value - x.reduce((sum, other) => sum + other, 0) / x.length);
  const [left, right] = [centred(a), centred(b)];
  const squares = (x: Float32Array) => x.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(squares(left.map((value, n) => value - right[n]!)) / squares(right));
}

describe.each(['austen-t5-dense', 'austen-t5-altup-k2', 'austen-t5-recycled-k2', 'austen-t5-sequence-altup'])(
  '%s',
  (name) => {
    it('gives nearly the same logits in every precision', async () => {
      const checkpoint = await copyShipped(name);
      const exact = await firstLogits(checkpoint, 'fp32');
      const limits: Record<Exclude<Precision, 'bf16'>, number> = {
        fp32: 0,
        fp16: 0.005,
        int8: 0.03,
        int4: 0.3,
      };
      for (const precision of onCpu) {
        const logits = await firstLogits(checkpoint, precision);
        expect(relativeDifference(logits, exact), precision).toBeLessThanOrEqual(limits[precision]);
      }
    });
  },
);

it('keeps the exports of different precisions apart', async () => {
  const checkpoint = await copyCheckpoint('altup-k2');
  const made = await Promise.all(all.map((precision) => ensureExport(checkpoint, precision)));
  expect(made.map(({ folder }) => folder)).toEqual(all.map((name) => join(checkpoint, 'onnx', name)));
  expect(made.map(({ manifest }) => manifest.precision)).toEqual([...all]);
  for (const precision of all) {
    expect((await ensureExport(checkpoint, precision)).isNew).toBe(false);
  }
});

it('gives tied heads the scale of their config in every precision', async () => {
  const checkpoint = await copyShipped('austen-t5-dense');
  await changeConfig(checkpoint, { tie_word_embeddings: true });
  const exact = await firstLogits(checkpoint, 'fp32');
  // Without the scale the logits would be √128 times as large. int4 costs more: the table was not trained as a head.
  const limits = { fp16: 0.01, int8: 0.05, int4: 0.4 };
  for (const precision of onCpu.slice(1) as (keyof typeof limits)[]) {
    const difference = relativeDifference(await firstLogits(checkpoint, precision), exact);
    expect(difference, precision).toBeLessThan(limits[precision]);
  }
});
