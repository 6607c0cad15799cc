import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { inspectModel } from '../../src/export/inspect/inspect-model.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { realGemma } from './real-weights.ts';

const windowTokens = 1000;
const windows = 2;
/** Maximum increase over fp32, in percent. */
const limits = { int8: 0.5, int4: 15 };

/** Ordinary English that none of the models was trained to repeat word by word. */
const text = readFileSync(join(import.meta.dirname, '../../bench/austen-held-out.txt'), 'utf8');

it('int8 and int4 cost little perplexity', async () => {
  const precisions = ['fp32', 'int8', 'int4'] as const;
  const service = await ServiceProcess.start({
    ALTUP_MODELS: realGemma,
    ALTUP_PRECISION: precisions.join(),
    ALTUP_SLOTS: '1',
    ALTUP_CONTEXT: '1024',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  const post = async <T>(path: string, body: object): Promise<T> =>
    (await (await service.post(path, body)).json()) as T;
  const head = text.slice(0, 8 * windowTokens * windows);
  const { tokens } = await post<{ tokens: number[] }>('/tokenize', {
    model: 'gemma-3-270m',
    prompt: head,
    add_special_tokens: false,
  });

  const perplexity = async (model: string): Promise<number> => {
    let loss = 0;
    let count = 0;
    for (let window = 0; window < windows; window += 1) {
      const prompt = [2, ...tokens.slice(window * windowTokens, (window + 1) * windowTokens)];
      const { choices } = await post<{ choices: [{ logprobs: { token_logprobs: (number | null)[] } }] }>(
        '/v1/completions',
        { model, prompt, max_tokens: 0, echo: true, logprobs: 0 },
      );
      for (const logprob of choices[0].logprobs.token_logprobs) {
        if (logprob === null) continue;
        loss -= logprob;
        count += 1;
      }
    }
    expect(count).toBe(windows * windowTokens);
    return Math.exp(loss / count);
  };

  const exact = await perplexity('gemma-3-270m');
  const rows = await Promise.all(
    precisions.map(async (precision) => {
      const found = precision === 'fp32' ? exact : await perplexity(`gemma-3-270m:${precision}`);
      const { parameters, sizes } = await inspectModel(join(realGemma, 'onnx', precision), precision);
      return {
        precision,
        perplexity: found,
        percent: 100 * (found / exact - 1),
        bytesPerParameter: sizes.total / parameters.total,
        bytesPerLayerParameter: sizes.decoder / parameters.decoder,
      };
    }),
  );
  console.table(rows);
  const [, int8, int4] = rows;
  expect(int8!.percent).toBeLessThan(limits.int8);
  expect(int4!.percent).toBeLessThan(limits.int4);
  expect(int4!.bytesPerParameter).toBeLessThan(0.75);
});
