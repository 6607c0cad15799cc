import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { readManifest } from '../../src/catalog/manifest-file.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { changeConfig, copyCheckpoint } from '../support/checkpoint-copy.ts';
import { readCheckpoint } from '../support/read-checkpoint.ts';
import { float32, writeSafetensors } from '../support/safetensors-writer.ts';

const ours = ['decoder.onnx', 'decoder.onnx.data', 'encoder.onnx', 'encoder.onnx.data', 'manifest.json'];

const rewriteManifest = async (folder: string, change: Partial<Manifest>) =>
  await writeFile(
    join(folder, 'manifest.json'),
    JSON.stringify({ ...(await readManifest(folder)), ...change }),
  );

/** Flips the last byte and keeps the size. If `keepTime` keeps the time too, the cheap check cannot notice it. */
async function flipLastByte(path: string, keepTime: boolean): Promise<void> {
  const { atime, mtime } = await stat(path);
  const bytes = await readFile(path);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(path, bytes);
  if (keepTime) await utimes(path, atime, mtime);
}

describe('ensureExport', () => {
  it('writes graphs and a manifest that says what the engine needs', async () => {
    const checkpoint = await copyCheckpoint('altup-k2');
    const made = await ensureExport(checkpoint, 'fp32');
    expect(made).toMatchObject({ folder: join(checkpoint, 'onnx', 'fp32'), isNew: true });
    expect((await readdir(made.folder)).sort()).toEqual(ours);
    expect(await readManifest(made.folder)).toEqual(made.manifest);
    expect(made.manifest).toMatchObject({
      format: 1,
      family: 't5',
      precision: 'fp32',
      altup: { numBlocks: 2, selection: 'alternating', recycled: false, coefficients: 'shared' },
      parameters: 29_860,
      graphs: { decoder: 'decoder.onnx', encoder: 'encoder.onnx' },
      vocabSize: 64,
      specialTokens: { eos: [1], bos: null, pad: 0, decoderStart: 0 },
      cache: Array(3).fill({ kvHeads: 3, headSize: 8, slidingWindow: null }),
      cross: Array(3).fill({ heads: 3, headSize: 8 }),
      contextLength: 512,
      encoderContextLength: 512,
    });
    expect(made.manifest.source.map(({ file }) => file)).toEqual(['config.json', 'model.safetensors']);
    expect(made.manifest.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it('writes the same bytes for the same checkpoint', async () => {
    const [a, b] = [await copyCheckpoint('altup-k4'), await copyCheckpoint('altup-k4')];
    const [one, other] = [await ensureExport(a, 'fp32'), await ensureExport(b, 'fp32')];
    expect(one.manifest.digest).toBe(other.manifest.digest);
    for (const file of ours.slice(0, -1)) {
      expect((await readFile(join(one.folder, file))).equals(await readFile(join(other.folder, file)))).toBe(
        true,
      );
    }
  });

  it('starts large weights on page borders', async () => {
    const { folder } = await ensureExport(await copyCheckpoint('altup-k2'), 'fp32');
    // The table and the head are two tensors of 8 KiB.
    expect((await stat(join(folder, 'decoder.onnx.data'))).size).toBe(16_384);
    expect((await readFile(join(folder, 'decoder.onnx'))).includes('8192')).toBe(true);
  });

  it('reports progress up to the end', async () => {
    const seen: number[] = [];
    await ensureExport(await copyCheckpoint('dense'), 'fp32', {
      onProgress: ({ doneBytes, totalBytes }) => seen.push(doneBytes / totalBytes),
    });
    expect(seen.length).toBeGreaterThan(10);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
  });

  describe('keeps an export', () => {
    it('of an unchanged checkpoint, without reading the weights', async () => {
      const checkpoint = await copyCheckpoint('dense');
      const { manifest } = await ensureExport(checkpoint, 'fp32');
      await flipLastByte(join(checkpoint, 'model.safetensors'), true);
      expect(await ensureExport(checkpoint, 'fp32')).toMatchObject({ isNew: false, manifest });
    });

    it('of a checkpoint with the same contents and other times, and notes the times', async () => {
      const checkpoint = await copyCheckpoint('dense');
      const { folder, manifest } = await ensureExport(checkpoint, 'fp32');
      await utimes(join(checkpoint, 'model.safetensors'), 1e9, 1e9);
      const again = await ensureExport(checkpoint, 'fp32');
      expect(again.isNew).toBe(false);
      expect(again.manifest.digest).toBe(manifest.digest);
      expect((await readManifest(folder)).source[1]?.mtimeMs).toBe(1e12);
    });
  });

  describe('makes an export again', () => {
    it.each<[string, (checkpoint: string, folder: string) => Promise<void>]>([
      [
        'when the weights changed',
        (checkpoint) => flipLastByte(join(checkpoint, 'model.safetensors'), false),
      ],
      ['when the config changed', (checkpoint) => changeConfig(checkpoint, { n_positions: 256 })],
      [
        'when there is a new generation_config.json',
        (checkpoint) => writeFile(join(checkpoint, 'generation_config.json'), '{"eos_token_id":[1,5]}'),
      ],
      ['of another exporter version', (_checkpoint, folder) => rewriteManifest(folder, { exporter: '0' })],
      ['of another precision', (_checkpoint, folder) => rewriteManifest(folder, { precision: 'int4' })],
      ['whose manifest is not valid', (_checkpoint, folder) => writeFile(join(folder, 'manifest.json'), '{')],
      [
        'whose manifest has other numbers than it was written with',
        (_checkpoint, folder) => rewriteManifest(folder, { contextLength: 9 }),
      ],
      ['whose weights are cut', (_checkpoint, folder) => truncate(join(folder, 'decoder.onnx.data'), 100)],
      ['whose weights are empty', (_checkpoint, folder) => writeFile(join(folder, 'encoder.onnx.data'), '')],
      [
        'whose graph holds other bytes',
        (_checkpoint, folder) => flipLastByte(join(folder, 'encoder.onnx'), true),
      ],
      [
        'with a folder where its weights should be',
        async (_checkpoint, folder) => {
          await rm(join(folder, 'decoder.onnx.data'));
          await mkdir(join(folder, 'decoder.onnx.data'));
        },
      ],
      ['whose graph is gone', (_checkpoint, folder) => rm(join(folder, 'decoder.onnx'))],
    ])('%s', async (_when, change) => {
      const checkpoint = await copyCheckpoint('dense');
      const { folder } = await ensureExport(checkpoint, 'fp32');
      await writeFile(join(folder, 'leftover.txt'), 'must not survive');
      await change(checkpoint, folder);
      const again = await ensureExport(checkpoint, 'fp32');
      expect(again.isNew).toBe(true);
      expect((await readdir(folder)).sort()).toEqual(ours);
      expect(await readdir(join(checkpoint, 'onnx'))).toEqual(['fp32']);
      expect((await ensureExport(checkpoint, 'fp32')).isNew).toBe(false);
    });
  });

  it('lets exporters of one model run at once', async () => {
    const checkpoint = await copyCheckpoint('altup-k2');
    await ensureExport(checkpoint, 'fp32');
    await changeConfig(checkpoint, { n_positions: 300 });
    const all = await Promise.all(Array.from({ length: 6 }, () => ensureExport(checkpoint, 'fp32')));
    for (const { manifest } of all) expect(manifest.contextLength).toBe(300);
    expect(await readdir(join(checkpoint, 'onnx'))).toEqual(['fp32']);
    expect((await readdir(join(checkpoint, 'onnx', 'fp32'))).sort()).toEqual(ours);
    expect((await ensureExport(checkpoint, 'fp32')).isNew).toBe(false);
  });

  it('leaves nothing behind when it fails, and keeps what was there', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const { folder, manifest } = await ensureExport(checkpoint, 'fp32');
    const tensors = await readCheckpoint(checkpoint);
    await writeSafetensors(join(checkpoint, 'model.safetensors'), { ...tensors, extra: float32([1], [1]) });
    await expect(ensureExport(checkpoint, 'fp32')).rejects.toThrow(
      /model\.safetensors: holds extra; according to config\.json/,
    );
    expect(await readdir(join(checkpoint, 'onnx'))).toEqual(['fp32']);
    expect(await readManifest(folder)).toEqual(manifest);
  });

  it('leaves nothing behind when it is told to stop', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const stop = new AbortController();
    const exporting = ensureExport(checkpoint, 'fp32', {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(exporting).rejects.toHaveProperty('name', 'AbortError');
    expect(await readdir(join(checkpoint, 'onnx'))).toEqual([]);
  });

  it('removes what killed exporters left, and only that', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const parent = join(checkpoint, 'onnx');
    const dead = `.fp32.${hostname()}.4194304.0123456789ab.partial`;
    const running = `.fp32.${hostname()}.1.0123456789ab.partial`;
    const elsewhere = '.fp32.other-host.7.0123456789ab.old';
    const abandoned = '.fp32.other-host.8.0123456789ab.partial';
    const foreign = '.fp32.backup';
    for (const name of [dead, running, elsewhere, abandoned, foreign])
      await mkdir(join(parent, name), { recursive: true });
    await utimes(join(parent, abandoned), 1e9, 1e9);
    await ensureExport(checkpoint, 'fp32');
    expect((await readdir(parent)).sort()).toEqual([elsewhere, running, foreign, 'fp32'].sort());
  });

  it('writes to another folder when told to, but not over other files', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const out = join(checkpoint, 'elsewhere');
    expect(await ensureExport(checkpoint, 'fp32', { out })).toMatchObject({ folder: out, isNew: true });
    await expect(ensureExport(checkpoint, 'fp32', { out: checkpoint })).rejects.toThrow(
      /holds other files \(.*\); expected an export or an empty folder/,
    );
  });

  it('says so where it cannot write', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const file = join(checkpoint, 'config.json');
    await expect(ensureExport(checkpoint, 'fp32', { out: file })).rejects.toThrow(
      /config\.json: cannot be read as a folder/,
    );
    // The export first fills a folder with a longer name than the target, here longer than file systems allow.
    const long = join(checkpoint, 'a'.repeat(250));
    await expect(ensureExport(checkpoint, 'fp32', { out: long })).rejects.toThrow(
      `${checkpoint}: cannot be written to: ENAMETOOLONG`,
    );
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      'a family it does not know',
      { model_type: 'llama' },
      /config\.json: model_type is "llama"; expected "t5"/,
    ],
    ['a token beyond the vocabulary', { eos_token_id: 64 }, /special token 64 is beyond vocab_size 64/],
    [
      'a config wider than the weights',
      { d_ff: 48 },
      /wi_0\.weight is \[40,16\]; config\.json requires \[48,16\]/,
    ],
    [
      'a config with more layers than weights',
      { num_decoder_layers: 4 },
      /has no tensor decoder\.block\.3\./,
    ],
    [
      'weights with more layers than the config',
      { num_decoder_layers: 2 },
      /holds decoder\.block\.2\.altup\.\S+ and 15 more/,
    ],
    ['AltUp weights without an altup config', { altup: null }, /shared\.weight is \[64,32\]; .* \[64,16\]/],
  ])('refuses %s', async (_what, change, message) => {
    const checkpoint = await copyCheckpoint('altup-k2', change);
    const attempt = ensureExport(checkpoint, 'fp32');
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toHaveProperty('name', 'ConfigurationError');
  });
});
