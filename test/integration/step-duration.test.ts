import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const text = await readFile(new URL('../../src/loadtest/load/built-in-text.txt', import.meta.url), 'utf8');

/** Pieces of English of 80 to 1,280 characters. */
const prompts = Array.from({ length: 16 }, (_, i) => text.slice(300 * i, 300 * i + 80 * (i + 1)));

describe.each([
  ['austen-gemma3', 'fp32'],
  ['austen-gemma3', 'int8'],
  ['austen-gemma3n', 'int4'],
  ['austen-t5-altup-k2', 'fp32'],
])('chunks sized by time, %s in %s', { timeout: 120_000 }, (model, precision) => {
  let services: [ServiceProcess, ServiceProcess];

  beforeAll(async () => {
    const start = (stepMs: number) =>
      ServiceProcess.start({
        ALTUP_MODELS: `models/${model}`,
        ALTUP_PRECISION: precision,
        ALTUP_SLOTS: '6',
        ALTUP_STEP_MS: `${stepMs}`,
        // Without a limit in time, a step computes a whole prompt.
        ALTUP_PREFILL_CHUNK: '512',
        ALTUP_STEP_TOKENS: '2048',
      });
    services = [await start(1), await start(0)];
  }, 120_000);
  afterAll(() => Promise.all(services.map((service) => service.stop())));

  async function complete(service: ServiceProcess, prompt: string, more: object) {
    const body = { model, prompt, max_tokens: 32, ignore_eos: true, logprobs: 2, return_token_ids: true };
    const response = await service.post('/v1/completions', { ...body, ...more });
    expect(response.status).toBe(200);
    const { choices } = (await response.json()) as { choices: [object] };
    return choices[0];
  }

  it.each([
    ['greedy', { temperature: 0 }],
    ['sampled', { temperature: 0.8, seed: 7 }],
  ])('give the same tokens and log probabilities, %s', async (_, more) => {
    const all = (service: ServiceProcess) =>
      Promise.all(prompts.map((prompt) => complete(service, prompt, more)));
    const [timed, counted] = [await all(services[0]), await all(services[1])];
    expect(timed).toEqual(counted);
  });

  it('are more than one for a long prompt, unless an encoder reads it', async () => {
    const steps = async (service: ServiceProcess) => {
      const count = async () => (await service.metrics()).sum('altup_step_seconds_count', `phase="prefill"`);
      const before = await count();
      for (let i = 0; i < 8; i += 1) await complete(service, text.slice(9000 + 1300 * i).slice(0, 1280), {});
      return (await count()) - before;
    };
    expect(await steps(services[1])).toBe(8);
    const timed = await steps(services[0]);
    if (model.includes('t5')) expect(timed).toBe(8);
    else expect(timed).toBeGreaterThan(8);
  });
});
