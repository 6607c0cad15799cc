import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { smallGemma3n } from '../support/small-gemma3n.ts';

const text = await readFile(new URL('../../src/loadtest/load/built-in-text.txt', import.meta.url), 'utf8');

const folder = await mkdtemp(join(tmpdir(), 'altup-test-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A model with heads of size 256, like published models: its results depend more on where a prompt is cut. */
async function wideHeads(): Promise<string> {
  const checkpoint = join(folder, 'wide-heads');
  await writeRandomGemma3n(checkpoint, { ...smallGemma3n, head_dim: 256 });
  return checkpoint;
}

interface Answer {
  tokens: number[];
  /** Log probabilities from the model's own distribution; tests compare every bit. */
  logprobs: number[];
  cached: number;
}

describe.each([
  ['austen-gemma3', 'fp32', async () => 'models/austen-gemma3'],
  ['austen-gemma3', 'fp16', async () => 'models/austen-gemma3'],
  ['austen-gemma3', 'int8', async () => 'models/austen-gemma3'],
  ['austen-gemma3', 'int4', async () => 'models/austen-gemma3'],
  ['wide-heads', 'int8', wideHeads],
  ['wide-heads', 'int4', wideHeads],
])('with a seed, %s in %s', { timeout: 120_000 }, (model, precision, checkpoint) => {
  let service: ServiceProcess;
  let prompts: number[][];
  let fresh: Answer[];
  let salts = 0;

  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: await checkpoint(),
      ALTUP_PRECISION: precision,
      ALTUP_SLOTS: '8',
      // So small that a request decoding next to a prompt leaves less than a chunk in the step.
      ALTUP_STEP_TOKENS: '70',
      ALTUP_PREFILL_CHUNK: '70',
    });
    const response = await service.post('/tokenize', { model, prompt: text });
    const { tokens } = (await response.json()) as { tokens: number[] };
    const random = seededRandom(1);
    // 30 pieces of English of 20 to 220 tokens; a third of them begin with the same tokens.
    prompts = Array.from({ length: 30 }, (_, i) => {
      const from = random.below(tokens.length - 300);
      const own = tokens.slice(from, from + 20 + random.below(120));
      return i % 3 === 0 ? [...tokens.slice(0, 80), ...own] : own;
    });
    fresh = [];
    for (const prompt of prompts) fresh.push(await complete(prompt, unshared()));
  }, 120_000);
  afterAll(() => service.stop());

  const unshared = () => ({ cache_salt: `${salts++}` });

  async function complete(prompt: readonly number[], more: object = {}): Promise<Answer> {
    const body = { prompt, max_tokens: 24, ignore_eos: true, seed: 11, logprobs: 0, return_token_ids: true };
    const response = await service.post('/v1/completions', { model, ...body, ...more });
    expect(response.status).toBe(200);
    const { choices, usage } = (await response.json()) as {
      choices: [{ token_ids: number[]; logprobs: { token_logprobs: number[] } }];
      usage: { prompt_tokens_details: { cached_tokens: number } };
    };
    const [{ token_ids: tokens, logprobs }] = choices;
    const cached = usage.prompt_tokens_details.cached_tokens;
    return { tokens, logprobs: logprobs.token_logprobs, cached };
  }

  const all = (given: readonly number[][]) => Promise.all(given.map((prompt) => complete(prompt)));
  const answerOnly = ({ tokens, logprobs }: Answer) => ({ tokens, logprobs });
  const expectFresh = (answers: readonly Answer[]) =>
    expect(answers.map(answerOnly)).toEqual(fresh.slice(0, answers.length).map(answerOnly));
  const isHit = ({ cached }: Answer) => cached > 0;

  it('an answer is the same once its prompt is cached', async () => {
    await all(prompts);
    const answers = await all(prompts);
    expectFresh(answers);
    expect(answers.filter(isHit).length).toBeGreaterThan(5);
    // Prompts share what is not a whole chunk too, because rows are equal.
    expect(answers.some(({ cached }) => cached % 70 !== 0)).toBe(true);
  });

  it('an answer is the same in a batch, among prompts that begin alike', async () => {
    expectFresh(await all(prompts));
  });

  it('an answer is the same beside others that come and go without a seed', async () => {
    const done = new AbortController();
    const beside = async (prompt: readonly number[]) => {
      while (!done.signal.aborted) await complete(prompt, { max_tokens: 40, seed: null });
    };
    const others = [prompts[0]!, prompts[3]!].map(beside);
    const answers: Answer[] = [];
    for (const prompt of prompts.slice(0, 10)) answers.push(await complete(prompt));
    done.abort();
    await Promise.all(others);
    expectFresh(answers);
  });

  it('a second turn is the same whether the first is still there or not', async () => {
    const first = await all(prompts.slice(0, 15));
    const seconds = first.map(({ tokens }, i) => [...prompts[i]!, ...tokens, ...prompts[i + 1]!]);
    const misses = await Promise.all(seconds.map((prompt) => complete(prompt, unshared())));
    const hits: Answer[] = [];
    for (const [i, second] of seconds.entries()) {
      await complete(prompts[i]!);
      hits.push(await complete(second));
    }
    expect(hits.map(answerOnly)).toEqual(misses.map(answerOnly));
    expect(hits.filter(isHit).length).toBeGreaterThan(5);
  });
});
