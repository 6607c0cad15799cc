import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectCommand } from '../../src/cli/inspect-command.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { captureOutput } from '../support/capture-output.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';

const run = (...args: string[]) => captureOutput(() => inspectCommand(args));

// The golden models have V = 64, d = 16, 3 heads of 8, d_ff = 40, 3 + 3 layers, 16 buckets on each side.
const parameters = {
  embedding: 64 * 32,
  encoder: 3 * (4 * 16 * 24 + 3 * 16 * 40 + 2 * 16) + 16,
  perLayerEmbedding: 0,
  decoder: 3 * (8 * 16 * 24 + 3 * 16 * 40 + 3 * 16) + 32,
  head: 64 * 32,
  positionBias: 2 * 16 * 3,
  experts: 0,
  altup: 6 * (2 * 2 + 2),
};

describe('altup inspect', () => {
  it('counts parameters, operators and memory of a checkpoint and of its export alike', async () => {
    const checkpoint = await copyCheckpoint('altup-k2');
    const before = JSON.parse((await run(checkpoint, '--json')).stdout);
    expect(before).toMatchObject({
      name: 'altup-k2',
      kind: 'checkpoint',
      family: 't5',
      altup: { numBlocks: 2, selection: 'alternating', recycled: false, coefficients: 'shared' },
      parameters: { total: 29_860, ...parameters },
      cacheBytesPerToken: 3 * 2 * 3 * 8 * 4,
      crossBytesPerToken: 3 * 2 * 3 * 8 * 4,
      operators: {
        decoder: {
          'ai.altup.SelfAttention': 3,
          'ai.altup.CrossAttention': 3,
          'ai.altup.CorrectPredict': 2,
          'ai.altup.Collapse': 1,
        },
        encoder: { 'com.microsoft.MultiHeadAttention': 3, 'ai.altup.CorrectPredict': 2 },
      },
    });
    expect(Object.keys(before.files)).toEqual(['config.json', 'model.safetensors']);

    const { folder } = await ensureExport(checkpoint, 'fp32');
    const after = JSON.parse((await run(folder, '--json')).stdout);
    expect(after.kind).toBe('export');
    for (const same of ['parameters', 'operators', 'functions', 'altup', 'cacheBytesPerToken']) {
      expect(after[same]).toEqual(before[same]);
    }
    expect(Object.keys(after.files)).toContain('decoder.onnx.data');
    expect(
      JSON.parse((await run(checkpoint, '--json')).stdout).files['onnx/fp32/encoder.onnx'],
    ).toBeGreaterThan(1000);
  });

  it('lists the functions of an AltUp model, and those of attention alone of a dense one', async () => {
    const altup = JSON.parse((await run(await copyCheckpoint('recycled-k2'), '--json')).stdout);
    expect(altup.functions).toContainEqual({ name: 'ai.altup.CorrectPredict', nodes: expect.any(Number) });
    const dense = JSON.parse((await run(await copyCheckpoint('dense'), '--json')).stdout);
    const attention = ['ai.altup.SelfAttention', 'ai.altup.CrossAttention'];
    expect(dense.functions.map(({ name }: { name: string }) => name)).toEqual(attention);
    const used = Object.keys(dense.operators.decoder).filter((name) => name.startsWith('ai.altup'));
    expect(used.toSorted()).toEqual(attention.toSorted());
    expect(dense.parameters.altup).toBe(0);
  });

  it('tells saved tokens and experts', async () => {
    const checkpoint = await copyCheckpoint('altup-sequence-moe');
    const { parameters: found, operators } = JSON.parse((await run(checkpoint, '--json')).stdout);
    expect(found).toMatchObject({
      experts: 6 * (3 * 16 + 2 * 3 * 8 * 16),
      altup: parameters.altup + 3 * 3,
      encoder: parameters.encoder,
    });
    expect(operators.encoder).toMatchObject({
      'com.microsoft.MoE': 3,
      'ai.altup.SequencePredictCorrect': 3,
    });
    const { stdout } = await run(checkpoint);
    expect(stdout).toMatch(/^ {2}sequence +Sequence-AltUp, stride 3$/m);
    expect(stdout).toMatch(/^ {2}experts +3, 1 per token$/m);
    const pooled = (await run(await copyCheckpoint('average-pool'))).stdout;
    expect(pooled).toMatch(/^ {2}AltUp +none$/m);
    expect(pooled).toMatch(/^ {2}sequence +average pooling, stride 4$/m);
    expect(pooled).not.toMatch(/^ {2}experts/m);
  });

  it("tells Gemma 3n's tables, layers and AltUp apart, and how quantising shrinks them", async () => {
    const checkpoint = await copyCheckpoint('gemma3n-k4');
    const [d, K, layers, own] = [32, 4, 12, 8];
    const {
      parameters: found,
      sizes,
      cacheBytesPerToken,
    } = JSON.parse((await run(checkpoint, '--json')).stdout);
    const router = K * d + K * K * K + K * K + 2 * d;
    expect(found).toMatchObject({
      embedding: 96 * d,
      perLayerEmbedding: 90 * layers * 16,
      head: 0,
      positionBias: 0,
      altup: layers * router + 2 * (K - 1) * d * d,
    });
    // Layers that read another layer's cache have none of their own.
    expect(cacheBytesPerToken).toBe(own * 2 * 2 * 16 * 4);
    expect(sizes.perLayerEmbedding).toBe(4 * found.perLayerEmbedding);
    const int8 = JSON.parse((await run(checkpoint, '--json', '--precision', 'int8')).stdout);
    expect(int8.parameters).toEqual(found);
    // One byte per number, and a float32 scale and a zero point for each block of 32.
    expect(int8.sizes.perLayerEmbedding).toBe(found.perLayerEmbedding * (1 + 5 / 32));
    expect((await run(checkpoint)).stdout).toMatch(/^ {2}AltUp +K = 4, coefficients by token$/m);
  });

  it('prints for a reader', async () => {
    const { code, stdout } = await run(await copyCheckpoint('altup-k2'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^altup-k2 \(checkpoint\)$/m);
    expect(stdout).toMatch(/^ {2}AltUp +K = 2, alternating, plain$/m);
    expect(stdout).toMatch(/^parameters: 29,860 in [\d,]+ bytes$/m);
    expect(stdout).toMatch(/^ {2}cache +576 bytes per token, 576 bytes per encoder token$/m);
    expect(stdout).toMatch(/^ {2}ai\.altup\.CorrectPredict +2 +2$/m);
  });

  it.each([
    [[], 2, /expected one model folder, got 0/],
    [['.', '--precision', 'x'], 2, /--precision is "x"/],
    [
      ['/dev'],
      1,
      /^altup inspect: \/dev: is not a model; expected config\.json \(a checkpoint\) or manifest\.json/,
    ],
  ])('refuses %j', async (args, expected, message) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(expected);
    expect(stderr).toMatch(message);
  });

  it('compares every byte of an export with what was written', async () => {
    const checkpoint = await copyCheckpoint('dense');
    expect((await run(checkpoint, '--verify')).stderr).toMatch(/holds no export; run 'altup export /);
    const { folder } = await ensureExport(checkpoint, 'fp32');
    const intact = { code: 0, stdout: 'the export is unchanged\n', stderr: '' };
    expect(await run(checkpoint, '--verify')).toEqual(intact);
    expect(await run(folder, '--verify')).toEqual(intact);

    const path = join(folder, 'decoder.onnx.data');
    const bytes = await readFile(path);
    bytes[20]! ^= 1;
    await writeFile(path, bytes);
    const damaged = await run(checkpoint, '--verify');
    expect(damaged).toMatchObject({ code: 1, stderr: '' });
    expect(damaged.stdout).toContain(`${path}: its bytes differ from those the exporter wrote\n`);
    expect(JSON.parse((await run(checkpoint, '--verify', '--json')).stdout).damage).toHaveLength(1);
  });
});
