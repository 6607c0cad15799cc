import { describe, expect, it } from 'vitest';
import type { PromptTokenLogprobs } from '../../src/sampling/sampled-token.ts';
import { type FakeEngine, textEvents } from '../support/fake-engine.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { eos, tokenOf } from '../support/fake-tokenizer.ts';

async function complete(
  payload: object,
  script?: FakeEngine['script'],
  kind: 'decoder-only' | 'encoder-decoder' = 'decoder-only',
) {
  const server = fakeServer({ models: [fakeModel('gpt', undefined, kind)] });
  if (script) server.engine.script = script;
  const response = await server.app.inject({ method: 'POST', url: '/v1/completions', payload });
  expect(response.statusCode, response.body).toBe(200);
  return { ...server, response };
}

const chunksOf = (body: string) =>
  body
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice(6)));

const scoreOf = (logprob: number, rank: number, ...top: [string, number][]): PromptTokenLogprobs => ({
  logprob,
  rank,
  top: top.map(([text, other]) => ({ token: tokenOf(text), logprob: other })),
});

/** Scores the prompt `ab` in two pieces, then says `c`. */
const scoredScript: FakeEngine['script'] = (request) => [
  { type: 'started', id: request.id, at: 1 },
  { type: 'scored', id: request.id, logprobs: [null] },
  { type: 'scored', id: request.id, logprobs: [scoreOf(-2, 3, ['x', -0.5], ['y', -1]), scoreOf(-1, 1)] },
  ...(request.maxTokens === 0
    ? []
    : [
        {
          type: 'tokens' as const,
          id: request.id,
          at: 2,
          tokens: [tokenOf('c')],
          text: 'c',
          logprobs: request.logprobs === null ? null : [{ logprob: -0.1, top: [] }],
        },
      ]),
  {
    type: 'finished',
    id: request.id,
    reason: 'length',
    stopReason: null,
    text: '',
    at: 4,
  },
];

describe('echo', () => {
  it('begins each choice with its prompt', async () => {
    const { response } = await complete({ prompt: ['a€', 'b'], n: 2, echo: true });
    expect(response.json().choices.map(({ text }: { text: string }) => text)).toEqual([
      'a€ok',
      'a€ok',
      'bok',
      'bok',
    ]);
    const ids = await complete({ prompt: [tokenOf('a'), eos], echo: true });
    expect(ids.response.json().choices[0].text).toBe('aok');
    const whole = await complete({
      prompt: [tokenOf('a'), eos],
      echo: true,
      skip_special_tokens: false,
      max_tokens: 0,
    });
    expect(whole.response.json().choices[0].text).toMatch(/^a<\/s>/);
  });

  it('reports the prompt’s log probabilities with the completion’s', async () => {
    const payload = { prompt: 'ab', echo: true, logprobs: 1, max_tokens: 1 };
    const { response, engine } = await complete(payload, scoredScript);
    expect(engine.submitted[0]).toMatchObject({ logprobs: 1, promptLogprobs: 1 });
    const choice = response.json().choices[0];
    expect(choice.text).toBe('abc');
    expect(choice.logprobs).toEqual({
      tokens: ['a', 'b', '</s>', 'c'],
      token_logprobs: [null, -2, -1, -0.1],
      top_logprobs: [null, { b: -2, x: -0.5 }, { '</s>': -1 }, { c: -0.1 }],
      text_offset: [0, 1, 2, 2],
    });
    expect(choice).not.toHaveProperty('prompt_logprobs');
  });

  it('has offsets into its text where special tokens stay', async () => {
    const payload = { prompt: 'ab', echo: true, logprobs: 0, max_tokens: 1, skip_special_tokens: false };
    const { response } = await complete(payload, scoredScript);
    // The tokenizer appended `</s>` to the prompt; the client did not write it.
    expect(response.json().choices[0]).toMatchObject({
      text: 'abc',
      logprobs: { text_offset: [0, 1, 2, 2] },
    });
    const ids = [tokenOf('a'), eos, tokenOf('b')];
    const { response: other } = await complete({ ...payload, prompt: ids }, scoredScript);
    expect(other.json().choices[0]).toMatchObject({
      text: 'a</s>bc',
      logprobs: { tokens: ['a', '</s>', 'b', 'c'], text_offset: [0, 1, 5, 6] },
    });
  });

  it('is all there is with no token to generate', async () => {
    const payload = { prompt: 'ab', echo: true, logprobs: 0, max_tokens: 0 };
    const { response, engine } = await complete(payload, scoredScript);
    expect(engine.submitted[0]!.maxTokens).toBe(0);
    expect(response.json().choices[0]).toMatchObject({
      text: 'ab',
      finish_reason: 'length',
      logprobs: { token_logprobs: [null, -2, -1], top_logprobs: [null, { b: -2 }, { '</s>': -1 }] },
    });
  });

  it('comes first in a stream', async () => {
    const payload = { prompt: 'ab', echo: true, logprobs: 0, max_tokens: 1, stream: true };
    const { response } = await complete(payload, scoredScript);
    const choices = chunksOf(response.body).map((chunk) => chunk.choices[0]);
    expect(choices[0]).toMatchObject({
      text: 'abc',
      logprobs: { tokens: ['a', 'b', '</s>', 'c'], text_offset: [0, 1, 2, 2] },
    });
    expect(choices[1]).toMatchObject({ text: '', finish_reason: 'length' });
  });

  it('fills a decoder-only model to its last position', async () => {
    const { engine } = await complete({ prompt: 'a'.repeat(31), max_tokens: 0, echo: true });
    expect(engine.submitted[0]!.promptTokens).toHaveLength(32);
  });
});

describe('prompt_logprobs', () => {
  it('are by token id, as vLLM has them', async () => {
    const { response, engine } = await complete({ prompt: 'ab', prompt_logprobs: 1 }, scoredScript);
    expect(engine.submitted[0]!.promptLogprobs).toBe(1);
    expect(response.json().choices[0].prompt_logprobs).toEqual([
      null,
      {
        [tokenOf('b')]: { logprob: -2, rank: 3, decoded_token: 'b' },
        [tokenOf('x')]: { logprob: -0.5, rank: 1, decoded_token: 'x' },
      },
      { [eos]: { logprob: -1, rank: 1, decoded_token: '</s>' } },
    ]);
  });
});

describe('best_of', () => {
  const means = [-3, -1, -2, -0.5, -4, -6];
  const script: FakeEngine['script'] = (request) => {
    const place = Number(request.id.split('-')[2]);
    const logprob = means[place]!;
    return [
      {
        type: 'tokens',
        id: request.id,
        at: 1,
        tokens: [100, 101],
        text: `t${place}`,
        logprobs: [
          { logprob: logprob - 1, top: [] },
          { logprob: logprob + 1, top: [] },
        ],
      },
      {
        type: 'finished',
        id: request.id,
        reason: 'stop',
        stopReason: null,
        text: '',
        at: 4,
      },
    ];
  };

  it('gives the likeliest of each prompt, and counts all', async () => {
    const { response, engine } = await complete({ prompt: ['a', 'b'], n: 2, best_of: 3, seed: 1 }, script);
    expect(engine.submitted).toHaveLength(6);
    expect(new Set(engine.submitted.slice(0, 3).map(({ sampling }) => String(sampling.seed))).size).toBe(3);
    const { choices, usage } = response.json();
    expect(choices.map(({ index, text, logprobs }: never) => [index, text, logprobs])).toEqual([
      [0, 't1', null],
      [1, 't2', null],
      [2, 't3', null],
      [3, 't4', null],
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 12 });
  });

  it('that is no more than n leaves all as they come, streams too', async () => {
    const { response } = await complete({ prompt: 'a', n: 2, best_of: 2 });
    expect(response.json().choices).toHaveLength(2);
    const streamed = await complete({ prompt: 'a', n: 2, best_of: 2, stream: true });
    expect(chunksOf(streamed.response.body)).toHaveLength(6);
  });
});

describe('return_token_ids', () => {
  it('gives those of prompt and completion', async () => {
    const { response } = await complete({ prompt: ['a', 'b'], return_token_ids: true });
    expect(response.json().choices).toMatchObject([
      { prompt_token_ids: [tokenOf('a'), eos], token_ids: [100, 101] },
      { prompt_token_ids: [tokenOf('b'), eos], token_ids: [100, 101] },
    ]);
  });

  it('gives those of a stream as they come, also without text', async () => {
    const { response } = await complete({ prompt: 'a', return_token_ids: true, stream: true }, (request) =>
      textEvents(request, 'hi').map((event) => (event.type === 'tokens' ? { ...event, text: '' } : event)),
    );
    expect(chunksOf(response.body).map((chunk) => chunk.choices[0])).toMatchObject([
      { text: '', prompt_token_ids: [tokenOf('a'), eos], token_ids: [100] },
      { text: '', token_ids: [101] },
      { token_ids: [], finish_reason: 'stop' },
    ]);
  });
});

describe('return_metrics', () => {
  const metrics = {
    queue_time_ms: 1,
    time_to_first_token_ms: 3,
    generation_time_ms: 2,
    mean_itl_ms: 1,
    total_time_ms: expect.any(Number),
    tokens_per_second: 750,
  };
  const script: FakeEngine['script'] = (request) => textEvents(request, 'abc');

  it('says how long the request took', async () => {
    const { response } = await complete({ prompt: 'a', return_metrics: true }, script);
    expect(response.json().metrics).toEqual(metrics);
    const silent = await complete({ prompt: 'a' }, script);
    expect(silent.response.json()).not.toHaveProperty('metrics');
  });

  it.each([undefined, { include_usage: true }])('is in the last chunk of a stream, %j', async (options) => {
    const payload = { prompt: 'a', return_metrics: true, stream: true, stream_options: options };
    const { response } = await complete(payload, script);
    const last = chunksOf(response.body).at(-1);
    expect(last).toMatchObject({ choices: [], metrics });
    expect('usage' in last).toBe(options !== undefined);
  });
});

describe('the other extras', () => {
  it('reach the engine', async () => {
    const { engine } = await complete({
      prompt: 'ab',
      allowed_token_ids: [5, 9, 5],
      bad_words: ['no'],
      priority: 3,
      cache_salt: 'mine',
    });
    const no = [tokenOf('n'), tokenOf('o')];
    expect(engine.submitted[0]).toMatchObject({
      sampling: { allowedTokens: [5, 9], badWords: [no, [tokenOf(' '), ...no]] },
      priority: 3,
      cacheSalt: 'mine',
    });
  });

  it('cut the prompt from the front', async () => {
    const { engine } = await complete({ prompt: 'abc', truncate_prompt_tokens: 2 });
    expect(engine.submitted[0]!.promptTokens).toEqual([tokenOf('c'), eos]);
    const kept = async (fields: object, kind?: 'encoder-decoder') => {
      const payload = { prompt: 'a'.repeat(9000), truncate_prompt_tokens: -1, ...fields };
      return (await complete(payload, undefined, kind)).engine.submitted[0]!.promptTokens.length;
    };
    // Of 32 tokens, those left after the completion: 16 by default, or as many as it asks for.
    expect(await kept({})).toBe(16);
    expect(await kept({ max_tokens: 5 })).toBe(27);
    expect(await kept({ max_tokens: 0, echo: true })).toBe(32);
    expect(await kept({ max_tokens: 32 }, 'encoder-decoder')).toBe(24);
  });

  it('give the decoder what its completion begins with, for all prompts or each its own', async () => {
    const given = async (fields: object) => {
      const payload = { prompt: ['a', 'b'], max_tokens: 1, ...fields };
      const { engine } = await complete(payload, undefined, 'encoder-decoder');
      return engine.submitted.map(({ completionPrefix }) => completionPrefix);
    };
    const no = [tokenOf('n'), tokenOf('o')];
    expect(await given({})).toEqual([[], []]);
    expect(await given({ completion_prefix: null })).toEqual([[], []]);
    expect(await given({ completion_prefix: 'no' })).toEqual([no, no]);
    expect(await given({ completion_prefix: [7, 8] })).toEqual([
      [7, 8],
      [7, 8],
    ]);
    expect(await given({ completion_prefix: ['no', 'n'] })).toEqual([no, [tokenOf('n')]]);
    expect(await given({ completion_prefix: [[9], [5, 6]] })).toEqual([[9], [5, 6]]);
  });

  it('leave out the tokenizer’s special tokens', async () => {
    const { engine } = await complete({ prompt: 'a', add_special_tokens: false });
    expect(engine.submitted[0]!.promptTokens).toEqual([tokenOf('a')]);
  });

  it('name the answer, while the engine has a name of its own', async () => {
    const { response, engine } = await complete({ prompt: 'a', request_id: 'mine/1' });
    expect(response.json().id).toBe('cmpl-mine/1');
    expect(engine.submitted[0]!.id).not.toContain('mine');
  });
});
