import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { goldenFolder } from './golden.ts';
import { temporaryFolder } from './temporary-folder.ts';

/**
 * A copy of a golden checkpoint for one test, in a folder called `variant`.
 * @param change fields of config.json to set; undefined removes one
 */
export async function copyCheckpoint(variant: string, change: Record<string, unknown> = {}): Promise<string> {
  const folder = join(await temporaryFolder(), variant);
  for (const file of ['config.json', 'model.safetensors']) {
    await cp(join(goldenFolder(variant), file), join(folder, file), { preserveTimestamps: true });
  }
  if (Object.keys(change).length > 0) await changeConfig(folder, change);
  return folder;
}

/** A copy of a trained model of models/ for one test. It has no tokenizer, so it can only be exported. */
export async function copyShipped(name: string): Promise<string> {
  const folder = join(await temporaryFolder(), name);
  for (const file of ['config.json', 'model.safetensors']) {
    await cp(join(import.meta.dirname, '../../models', name, file), join(folder, file));
  }
  return folder;
}

export async function changeConfig(folder: string, change: Record<string, unknown>): Promise<void> {
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...config, ...change }, null, 2));
}
