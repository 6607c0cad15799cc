import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { describeNative } from '../native/native-addon.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { worstDifference } from '../support/worst-difference.ts';

interface Golden {
  text: string;
  tokens: number[];
  embedding: number[];
}

interface Answer {
  data: { index: number; embedding: number[] }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
}

/** By shipped model, what training/embedding_golden.py computed. */
const golden: Record<string, Golden[]> = JSON.parse(
  readFileSync(new URL('../golden/embeddings.json', import.meta.url), 'utf8'),
);
const models = Object.keys(golden);
/** The file has six decimals. */
const tolerance = 2e-6;

async function start(settings: Record<string, string>): Promise<(body: object) => Promise<Answer>> {
  const served = [...models, 'austen-gemma3'].map((model) => `models/${model}`).join(',');
  const service = await ServiceProcess.start({ ALTUP_MODELS: served, ALTUP_PRECISION: 'fp32', ...settings });
  onTestFinished(async () => {
    expect(await service.stop()).toBe(0);
  });
  return async (body) => {
    const response = await service.post('/v1/embeddings', body);
    return { status: response.status, ...((await response.json()) as Answer) };
  };
}

function testBackend(backend: 'native' | 'onnxruntime-node'): void {
  it('embeds texts as the reference does, and alike in every batch', { timeout: 120_000 }, async () => {
    const embed = await start({ ALTUP_BACKEND: backend, ALTUP_SLOTS: '1' });
    expect(models.length).toBeGreaterThanOrEqual(3);
    for (const [model, texts] of Object.entries(golden)) {
      const { data, usage } = await embed({ model, input: texts.map(({ text }) => text) });
      expect(data.map(({ index }) => index)).toEqual([...texts.keys()]);
      const tokens = texts.reduce((sum, each) => sum + each.tokens.length, 0);
      expect(usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
      for (const [i, { text, tokens, embedding }] of texts.entries()) {
        const name = `${model}, text ${i}`;
        const numbers = data[i]!.embedding;
        expect(worstDifference(numbers, embedding), name).toBeLessThan(tolerance);
        // Alone, as text or as tokens, it has the same bits.
        for (const input of [text, tokens])
          expect((await embed({ model, input })).data[0]!.embedding, name).toEqual(numbers);
      }
    }
    expect(await embed({ model: 'austen-gemma3', input: 'Emma' })).toMatchObject({
      status: 400,
      error: { param: 'model', message: expect.stringContaining('no encoder') },
    });
  });
}

describe('the portable backend', () => testBackend('onnxruntime-node'));
describeNative('the native backend', () => testBackend('native'));
