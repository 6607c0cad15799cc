import { join } from 'node:path';
import { expect, it } from 'vitest';
import { heldOutChapters, meanLoss, windowsOf } from '../../../bench/held-out.ts';
import training from '../../../models/austen-t5-altup-k2/training.json' with { type: 'json' };
import type { Precision } from '../../../src/catalog/manifest.ts';
import { Tokenizer } from '../../../src/catalog/tokenizer/tokenizer.ts';
import { ensureExport } from '../../../src/export/export-checkpoint.ts';
import { openSession } from '../../../src/runtime/open-session.ts';
import { cpuPrecisions } from '../../support/cpu-precisions.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const model = join(import.meta.dirname, '../../../models/austen-t5-altup-k2');

async function perplexity(precision: Precision): Promise<number> {
  const windows = windowsOf(Tokenizer.load(model), heldOutChapters()).filter((_, n) => n % 100 === 0);
  const out = join(await temporaryFolder(), precision);
  const { folder, manifest } = await ensureExport(model, precision, { out });
  const options = { folder, slots: 1, maxContext: 512, threads: 1 };
  const session = await openSession(options, { backend: 'onnxruntime-node', executionProvider: 'cpu' });
  try {
    return Math.exp(await meanLoss(session, manifest, windows));
  } finally {
    await session.close();
  }
}

it('a trained model hardly loses perplexity: fp16 0.1 %, int8 1 %, int4 10 %', async () => {
  const exact = await perplexity('fp32');
  // The test uses a sample of the windows on which the trainer measured the loss.
  expect(Math.log(exact)).toBeCloseTo(training.held_out_loss, 0);
  const limits = { fp16: 1.001, int8: 1.01, int4: 1.1 };
  for (const precision of cpuPrecisions.slice(1) as (keyof typeof limits)[]) {
    const ratio = (await perplexity(precision)) / exact;
    expect(ratio, precision).toBeLessThan(limits[precision]);
    expect(ratio, precision).toBeGreaterThan(1 / limits[precision]);
  }
});
