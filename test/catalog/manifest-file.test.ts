import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { readManifest, writeManifest } from '../../src/catalog/manifest-file.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const manifest: Manifest = {
  format: 1,
  exporter: '1',
  digest: 'abc',
  source: [{ file: 'config.json', size: 1, mtimeMs: 1.5 }],
  files: [{ file: 'decoder.onnx', size: 2, sha256: 'def' }],
  family: 't5',
  precision: 'fp32',
  altup: { numBlocks: 2, selection: 'alternating', recycled: false, coefficients: 'shared' },
  sequence: null,
  moe: null,
  parameters: 10,
  graphs: { decoder: 'decoder.onnx', encoder: null },
  vocabSize: 8,
  specialTokens: { eos: [1], bos: null, pad: 0, decoderStart: 0 },
  cache: [{ kvHeads: 1, headSize: 8, slidingWindow: null }],
  cross: [],
  contextLength: 16,
  mediaTokens: { image: [], audio: [] },
  encoderContextLength: null,
};

async function folderWith(text: string): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'manifest.json'), text);
  return folder;
}

describe('manifest.json', () => {
  it('reads back what was written, and leaves no other file', async () => {
    const folder = await temporaryFolder();
    await writeManifest(folder, manifest);
    expect(await readManifest(folder)).toEqual(manifest);
    await writeManifest(folder, { ...manifest, altup: null });
    expect((await readManifest(folder)).altup).toBeNull();
    expect(await readdir(folder)).toEqual(['manifest.json']);
  });

  it.each<[string, object, RegExp]>([
    ['another format', { format: 2 }, /manifest\.json: format is 2; expected 1$/],
    ['a family that is no name', { family: '../t5' }, /family is "..\/t5"; it must match pattern/],
    [
      'a missing field',
      { vocabSize: undefined },
      /the manifest is incomplete; it must have required properties vocabSize$/,
    ],
    [
      'a missing field further in',
      { cache: [{ kvHeads: 1, slidingWindow: null }] },
      /cache\.0 is incomplete; it must have required properties headSize$/,
    ],
    ['a number that is too small', { contextLength: 0 }, /contextLength is 0; it must be >= 1$/],
    [
      'a number that is too large',
      { contextLength: 1e9 },
      /contextLength is 1000000000; it must be <= 16777216$/,
    ],
    [
      'a number that is too large further in',
      { cache: [{ kvHeads: 1, headSize: 8e9, slidingWindow: null }] },
      /cache\.0\.headSize is 8000000000; it must be <= 4096$/,
    ],
    ['a value of another type', { digest: 5 }, /digest is 5; it must be string$/],
  ])('refuses %s', async (_what, change, message) => {
    const reading = readManifest(await folderWith(JSON.stringify({ ...manifest, ...change })));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toHaveProperty('name', 'ConfigurationError');
  });

  it('refuses numbers that were changed after it was written', async () => {
    const folder = await temporaryFolder();
    await writeManifest(folder, manifest);
    const path = join(folder, 'manifest.json');
    const text = await readFile(path, 'utf8');
    for (const [was, is] of [
      ['"contextLength": 16', '"contextLength": 17'],
      ['"kvHeads": 1', '"kvHeads": 2'],
      ['"eos": [\n      1', '"eos": [\n      2'],
    ] as const) {
      expect(text).toContain(was);
      await writeFile(path, text.replace(was, is));
      await expect(readManifest(folder)).rejects.toThrow(
        /manifest\.json: was changed after the exporter wrote it; export the checkpoint again/,
      );
    }
  });

  it('refuses a file that is missing or not JSON', async () => {
    await expect(readManifest(await temporaryFolder())).rejects.toThrow(
      /manifest\.json: cannot be read as JSON/,
    );
    await expect(readManifest(await folderWith('{"format": 1'))).rejects.toThrow(
      /manifest\.json: cannot be read as JSON/,
    );
    await expect(readManifest(await folderWith('null'))).rejects.toThrow(
      /the manifest is null; it must be object/,
    );
  });
});
