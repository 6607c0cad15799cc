import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RandomBfloat16 } from '../../scripts/random-gemma3n/random-bfloat16.ts';
import { configOf, e2b, tensorsOf } from '../../scripts/random-gemma3n/shape.ts';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { CheckpointWeights } from '../../src/export/checkpoint/checkpoint-weights.ts';
import { bfloat16ToFloat32 } from '../../src/export/checkpoint/half-precision.ts';
import { WeightSource } from '../../src/export/checkpoint/weight-source.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import { cpuPrecisions } from '../support/cpu-precisions.ts';
import { goldenFolder } from '../support/golden.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('a random Gemma 3n', () => {
  it('of E2B’s shape has as many parameters as E2B', () => {
    const count = tensorsOf(e2b).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(count).toBeGreaterThan(4.45e9);
    expect(count).toBeLessThan(4.47e9);
  });

  it('is a Hugging Face folder whose shards hold every tensor', async () => {
    const folder = await temporaryFolder();
    await writeRandomGemma3n(folder, smallGemma3n);
    expect((await readdir(folder)).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model-00001-of-00001.safetensors',
      'model.safetensors.index.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const weights = await CheckpointWeights.open(folder);
    try {
      expect([...weights.names].sort()).toEqual(
        tensorsOf(smallGemma3n)
          .map(({ name }) => name)
          .sort(),
      );
      const values = await new WeightSource(weights).values('model.embed_tokens.weight', [1500, 64]);
      expect(Math.max(...values)).toBeLessThan(0.12);
      expect(new Set(values).size).toBeGreaterThan(1000);
    } finally {
      await weights.close();
    }
    const tokenizer = Tokenizer.load(folder);
    expect(tokenizer.vocabSize).toBe(1500);
    const text = 'It is a truth, universally acknowledged: 1813!\n';
    const tokens = tokenizer.encode(text);
    expect(tokens[0]).toBe(2);
    expect(tokens.length).toBeLessThan(text.length / 1.5);
    expect(tokenizer.decode(tokens, true)).toBe(text);
  });

  it('writes floats where transformers does, whose configs take no integers for them', () => {
    const theirs = readFileSync(join(goldenFolder('gemma3n-k2'), 'config.json'), 'utf8');
    const floats = [...theirs.matchAll(/"(\w+)": (?:\[\s*)?-?\d+(?:\.|e)/g)].map(([, field]) => field!);
    expect(floats.length).toBeGreaterThan(6);
    const ours = JSON.stringify(configOf(e2b));
    for (const field of floats) expect(ours).toMatch(new RegExp(`"${field}":\\[?-?\\d+(\\.|e)`));
  });

  it('writes numbers of the deviation asked for, the same for the same seed', () => {
    const [numbers, again] = [new Uint16Array(100_001), new Uint16Array(100_001)];
    new RandomBfloat16(5).fill(numbers, 0.02);
    new RandomBfloat16(5).fill(again, 0.02);
    expect(again).toEqual(numbers);
    const values = bfloat16ToFloat32(numbers);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(5e-4);
    expect(Math.sqrt(square)).toBeCloseTo(0.02, 3);
  });

  it('is exported and scored in every precision', async () => {
    const folder = await temporaryFolder();
    await writeRandomGemma3n(folder, smallGemma3n);
    const tokens = Array.from({ length: 40 }, (_, n) => (n === 0 ? 2 : 300 + ((n * 37) % 1200)));
    const losses: number[] = [];
    for (const precision of cpuPrecisions) {
      const made = await ensureExport(folder, precision);
      const options = { folder: made.folder, slots: 1, maxContext: 64, threads: 1 };
      const session = await openSession(options, { backend: 'onnxruntime-node', executionProvider: 'cpu' });
      const scoring = { followers: tokens.slice(1), alternatives: 0 };
      const { scores } = await session.prefill(0, tokens.slice(0, -1), 0, null, scoring);
      losses.push(-scores.reduce((sum, { logprob }) => sum + logprob, 0) / scores.length);
      await session.close();
    }
    // An untrained model: each token is about as likely as any other.
    for (const loss of losses) expect(Math.abs(loss - losses[0]!)).toBeLessThan(0.2);
    expect(losses[0]).toBeGreaterThan(6);
  });
});
