import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { seededRandom } from '../support/seeded-random.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { realGemma } from './real-weights.ts';

const text = readFileSync(join(import.meta.dirname, '../../bench/austen-held-out.txt'), 'utf8');
/** Each takes a second in each precision. A run with 60, started by hand, found no difference either. */
const count = 24;

interface Answer {
  tokens: number[];
  logprobs: number[];
}

it.each(['int8', 'int4'])(
  '%s: an answer is the same cached, in a batch, and in a second turn',
  async (precision) => {
    const service = await ServiceProcess.start({
      ALTUP_MODELS: realGemma,
      ALTUP_PRECISION: precision,
      ALTUP_SLOTS: '8',
      ALTUP_CONTEXT: '1024',
    });
    onTestFinished(async () => {
      await service.stop();
    });
    const response = await service.post('/tokenize', {
      model: 'gemma-3-270m',
      prompt: text.slice(0, 60_000),
    });
    const { tokens } = (await response.json()) as { tokens: number[] };
    const random = seededRandom(5);
    const prompts = Array.from({ length: count }, (_, i) => {
      const from = random.below(tokens.length - 300);
      const own = tokens.slice(from, from + 15 + random.below(60));
      // A third of them begin with the same tokens.
      return i % 3 === 0 ? [...tokens.slice(0, 50), ...own] : own;
    });

    let hits = 0;
    let salts = 0;
    async function complete(prompt: readonly number[], more: object = {}): Promise<Answer> {
      const body = {
        max_tokens: 12,
        ignore_eos: true,
        seed: 3,
        temperature: 0.8,
        logprobs: 0,
        return_token_ids: true,
      };
      const answer = await service.post('/v1/completions', {
        model: 'gemma-3-270m',
        prompt,
        ...body,
        ...more,
      });
      expect(answer.status).toBe(200);
      const { choices, usage } = (await answer.json()) as {
        choices: [{ token_ids: number[]; logprobs: { token_logprobs: number[] } }];
        usage: { prompt_tokens_details: { cached_tokens: number } };
      };
      if (usage.prompt_tokens_details.cached_tokens > 0) hits += 1;
      return { tokens: choices[0].token_ids, logprobs: choices[0].logprobs.token_logprobs };
    }
    const unshared = () => ({ cache_salt: `${salts++}` });

    const fresh: Answer[] = [];
    for (const prompt of prompts) fresh.push(await complete(prompt, unshared()));
    const [first, again] = [
      await Promise.all(prompts.map((prompt) => complete(prompt))),
      await Promise.all(prompts.map((prompt) => complete(prompt))),
    ];
    expect(first).toEqual(fresh);
    expect(again).toEqual(fresh);

    const seconds = first.map((answer, i) => [
      ...prompts[i]!,
      ...answer.tokens,
      ...prompts[(i + 1) % count]!,
    ]);
    const misses = await Promise.all(seconds.map((prompt) => complete(prompt, unshared())));
    const hitsBefore = hits;
    const turns: Answer[] = [];
    for (const [i, second] of seconds.entries()) {
      await complete(prompts[i]!);
      turns.push(await complete(second));
    }
    expect(turns).toEqual(misses);
    expect(hits - hitsBefore).toBeGreaterThan(count);
  },
);
