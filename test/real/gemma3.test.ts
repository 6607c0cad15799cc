import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';
import { readReference, realGemma } from './real-weights.ts';

interface Choice {
  text: string;
  message: { content: string };
  finish_reason: string;
  stop_reason: number | null;
  token_ids: number[];
  prompt_token_ids: number[];
  logprobs: { token_logprobs: number[] };
}
interface Answer {
  choices: [Choice];
  usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
}

const { prompts, strings, chats, ends } = readReference();
let service: ServiceProcess;

beforeAll(async () => {
  const settings = { ALTUP_MODELS: realGemma, ALTUP_SLOTS: '4', ALTUP_CONTEXT: '2048' };
  service = await ServiceProcess.start(settings);
});
afterAll(async () => {
  expect(await service?.stop()).toBe(0);
});

async function post<T>(path: string, body: object): Promise<T> {
  const response = await service.post(path, body);
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer as T;
}

const complete = (body: object) =>
  post<Answer>('/v1/completions', { temperature: 0, return_token_ids: true, ...body });

describe('Gemma 3 270M in float32 against transformers', () => {
  it.each(prompts)('greedy tokens and their log probabilities: $name', async (prompt) => {
    const { tokens, greedy, logprobs } = prompt;
    const { choices } = await complete({ prompt: tokens, max_tokens: 40, logprobs: 0 });
    const [choice] = choices;
    const isEnded = ends.includes(greedy.at(-1)!);
    expect(choice.finish_reason).toBe(isEnded ? 'stop' : 'length');
    expect(choice.token_ids).toEqual(greedy);
    choice.logprobs.token_logprobs.forEach((logprob, n) => {
      expect(Math.abs(logprob - logprobs[n]!), `token ${n}`).toBeLessThan(2e-3);
    });
  });

  it('all prompts at once give what each gave alone', async () => {
    const { choices } = await complete({ prompt: prompts.map(({ tokens }) => tokens), max_tokens: 40 });
    expect((choices as Choice[]).map(({ token_ids }) => token_ids)).toEqual(
      prompts.map(({ greedy }) => greedy),
    );
  });

  it('texts become the same prompts', async () => {
    for (const { text, tokens } of prompts) {
      expect((await post<{ tokens: number[] }>('/tokenize', { prompt: text })).tokens).toEqual(tokens);
    }
  });

  it(`${strings.length} odd strings become the same tokens`, async () => {
    const different: string[] = [];
    for (const { text, tokens } of strings) {
      const body = { prompt: text, add_special_tokens: false };
      const made = await post<{ tokens: number[] }>('/tokenize', body);
      if (made.tokens.join() !== tokens.join()) different.push(JSON.stringify(text));
    }
    expect(different).toEqual([]);
  });

  it.each(chats)(
    'the chat template writes the same prompt: $messages.0.content',
    async ({ messages, tokens }) => {
      const body = { messages, max_tokens: 1, return_token_ids: true, temperature: 0 };
      const { choices, usage, ...rest } = await post<Answer & { prompt_token_ids?: number[] }>(
        '/v1/chat/completions',
        body,
      );
      expect(rest.prompt_token_ids ?? choices[0].prompt_token_ids).toEqual(tokens);
      expect(usage.prompt_tokens).toBe(tokens.length);
    },
  );

  it('a prompt with a token beyond the embedding is refused by name', async () => {
    for (const [path, body] of [
      ['/v1/completions', { prompt: [2, 262_144] }],
      ['/v1/completions', { prompt: 'Look: <image_soft_token>' }],
      ['/v1/chat/completions', { messages: [{ role: 'user', content: '<image_soft_token>' }] }],
    ] as const) {
      const response = await service.post(path, body);
      expect(response.status).toBe(400);
      expect(((await response.json()) as { error: { message: string } }).error.message).toMatch(/262144/);
    }
  });

  it('answers keep to a schema', async () => {
    const schema = {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 20 },
        inhabitants: { type: 'integer', minimum: 0, maximum: 99_999_999 },
      },
      required: ['city', 'inhabitants'],
      additionalProperties: false,
    };
    const { choices } = await post<Answer>('/v1/chat/completions', {
      messages: [{ role: 'user', content: 'Name a city and how many people live there, as JSON.' }],
      response_format: { type: 'json_schema', json_schema: { name: 'city', schema, strict: true } },
      temperature: 0,
      max_tokens: 100,
    });
    expect(JSON.parse(choices[0].message.content)).toEqual({
      city: expect.any(String),
      inhabitants: expect.any(Number),
    });
  });

  it('a prefix that is there already changes no token', async () => {
    const { tokens, greedy } = prompts.find(({ name }) => name === 'past the window')!;
    for (let turn = 0; turn < 2; turn += 1) {
      const { choices, usage } = await complete({ prompt: tokens, max_tokens: 40, cache_salt: 'reuse' });
      expect(choices[0].token_ids).toEqual(greedy);
      if (turn === 1) expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(tokens.length / 2);
    }
  });
});
