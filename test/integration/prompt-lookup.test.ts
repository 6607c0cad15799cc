import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const text = await readFile(new URL('../../src/loadtest/load/built-in-text.txt', import.meta.url), 'utf8');
const sentences = text.split(/(?<=[.!?])\s+/).filter(({ length }) => length > 40 && length < 160);

/** Prompts that repeat themselves, so that a small model goes on repeating them. */
const prompts = Array.from({ length: 10 }, (_, i) =>
  `${sentences[i]} ${sentences[i + 1]} `.repeat(3).trimEnd(),
);

interface Answer {
  text: string;
  token_ids: number[];
  logprobs: unknown;
}

describe.each([
  ['austen-gemma3', 'fp32'],
  ['austen-gemma3', 'int4'],
  ['austen-gemma3n', 'int8'],
  ['austen-t5-altup-k2', 'fp32'],
])('prompt lookup of %s in %s', { timeout: 120_000 }, (model, precision) => {
  let services: [ServiceProcess, ServiceProcess];

  beforeAll(async () => {
    const start = (promptLookup: boolean) =>
      ServiceProcess.start({
        ALTUP_MODELS: `models/${model}`,
        ALTUP_PRECISION: precision,
        ALTUP_PROMPT_LOOKUP: `${promptLookup}`,
      });
    services = [await start(true), await start(false)];
  }, 120_000);
  afterAll(() => Promise.all(services.map((service) => service.stop())));

  async function complete(service: ServiceProcess, prompt: string, more: object) {
    const body = { model, prompt, max_tokens: 48, ignore_eos: true, logprobs: 2, return_token_ids: true };
    const response = await service.post('/v1/completions', { ...body, ...more });
    expect(response.status).toBe(200);
    const { choices, usage } = (await response.json()) as {
      choices: [Answer];
      usage: {
        completion_tokens_details: { accepted_prediction_tokens: number; rejected_prediction_tokens: number };
      };
    };
    const [{ text, token_ids, logprobs }] = choices;
    return { answer: { text, token_ids, logprobs }, guesses: usage.completion_tokens_details };
  }

  it('changes no token and no log probability, greedy and sampled, and saves steps', async () => {
    let [right, wrong] = [0, 0];
    for (const more of [{ temperature: 0 }, { temperature: 0.7, seed: 5 }]) {
      for (const prompt of prompts) {
        const fast = await complete(services[0], prompt, more);
        const slow = await complete(services[1], prompt, more);
        expect(fast.answer).toEqual(slow.answer);
        expect(slow.guesses).toMatchObject({
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        });
        right += fast.guesses.accepted_prediction_tokens;
        wrong += fast.guesses.rejected_prediction_tokens;
      }
    }
    expect(right).toBeGreaterThan(0);
    const metrics = await services[0].metrics();
    expect(metrics.sum('altup_guessed_tokens_total', `model="${model}"`)).toBe(right + wrong);
    expect(metrics.sum('altup_right_guesses_total', `model="${model}"`)).toBe(right);
  });
});
