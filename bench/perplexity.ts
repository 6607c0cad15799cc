import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { precisions } from '../src/catalog/manifest.ts';
import { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import { ensureExport } from '../src/export/export-checkpoint.ts';
import { inspectModel } from '../src/export/inspect/inspect-model.ts';
import { chooseRuntime } from '../src/runtime/choose-runtime.ts';
import { openSession } from '../src/runtime/open-session.ts';
import { heldOutChapters, meanLoss, windowsOf } from './held-out.ts';
import type { BenchResult } from './result.ts';

const models = join(import.meta.dirname, '../models');

/** Computes the perplexity of every shipped model on held-out text, in each precision and relative to fp32. */
export async function run(): Promise<BenchResult> {
  const { runtime } = await chooseRuntime({
    backend: 'auto',
    executionProvider: 'auto',
    precisions: ['fp32'],
  });
  const chapters = heldOutChapters();
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const exports = await mkdtemp(join(tmpdir(), 'altup-perplexity-'));
  try {
    for (const id of await readdir(models)) {
      const folder = join(models, id);
      const windows = windowsOf(Tokenizer.load(folder), chapters);
      let exact = Number.NaN;
      for (const precision of precisions) {
        const made = await ensureExport(folder, precision, { out: join(exports, id, precision) });
        const options = { folder: made.folder, slots: 1, maxContext: 512, threads: 2 };
        const session = await openSession(options, runtime);
        const perplexity = Math.exp(await meanLoss(session, made.manifest, windows));
        await session.close();
        if (precision === 'fp32') exact = perplexity;
        const { files } = await inspectModel(made.folder, precision);
        const bytes = Object.values(files).reduce((sum, size) => sum + size, 0);
        rows.push({
          model: id,
          precision,
          perplexity,
          'to fp32, %': 100 * (perplexity / exact - 1),
          MB: bytes / 1e6,
        });
        if (precision !== 'fp32') ratios[`${id}-${precision}`] = perplexity / exact;
      }
    }
  } finally {
    await rm(exports, { recursive: true });
  }
  return { name: 'perplexity', rows, ratios };
}
