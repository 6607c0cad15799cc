import { globSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';

const models = join(import.meta.dirname, '../../models');
const ofAll: readonly Precision[] = ['fp16'];
const ofDecoderOnly: readonly Precision[] = ['fp16', 'bf16', 'int8', 'int4'];

/** Exports the shipped models, or those of `names`, in the precisions that CUDA runs. @returns their folders */
export async function cudaExports(names?: readonly string[]): Promise<string[]> {
  const folders: string[] = [];
  for (const config of globSync('*/config.json', { cwd: models }).sort()) {
    const name = basename(dirname(config));
    if (names && !names.includes(name)) continue;
    for (const precision of name.includes('gemma') ? ofDecoderOnly : ofAll)
      folders.push((await ensureExport(join(models, name), precision)).folder);
  }
  return folders;
}
