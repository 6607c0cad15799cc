import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { ExportThread } from '../../src/export/export-thread.ts';
import { copyCheckpoint, copyShipped } from '../support/checkpoint-copy.ts';

const ignore = () => {};

it('exports as ensureExport does, one checkpoint after another, and goes on after one that fails', async () => {
  const thread = new ExportThread();
  const [first, second] = [await copyCheckpoint('dense'), await copyCheckpoint('dense')];
  await writeFile(join(second, 'config.json'), '{"model_type": "mamba"}');
  const seen: number[] = [];
  const exporting = thread.run(first, 'fp32', ({ doneBytes }) => seen.push(doneBytes));
  const failing = thread.run(second, 'fp32', ignore);
  const again = thread.run(first, 'fp32', ignore);
  await expect(failing).rejects.toThrow(ConfigurationError);
  await expect(failing).rejects.toThrow(/mamba/);
  expect(await exporting).toMatchObject({ isNew: true });
  expect(seen.length).toBeGreaterThan(0);
  const found = await ensureExport(first, 'fp32');
  expect(await again).toEqual(found);
  await thread.end();
  expect(await thread.run(first, 'fp32', ignore)).toEqual(found);
  await thread.end();
});

it('gives up an export that is under way, and leaves nothing behind', async () => {
  const thread = new ExportThread();
  const checkpoint = await copyShipped('austen-t5-dense2x');
  let end: Promise<void> | undefined;
  const exporting = thread.run(checkpoint, 'fp32', () => {
    end ??= thread.end();
  });
  await expect(exporting).rejects.toThrow();
  await end;
  expect(await readdir(join(checkpoint, 'onnx'))).toEqual([]);
});
