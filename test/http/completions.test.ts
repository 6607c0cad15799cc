import { describe, expect, it } from 'vitest';
import type { GenerationEvent } from '../../src/engine/protocol/generation.ts';
import { ServiceError } from '../../src/errors.ts';
import { eachSamplingNumber, greedy, samplingNumbers } from '../../src/sampling/sampling-request.ts';
import { textEvents } from '../support/fake-engine.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { eos, tokenOf } from '../support/fake-tokenizer.ts';

async function complete(payload: object, server = fakeServer()) {
  const response = await server.app.inject({ method: 'POST', url: '/v1/completions', payload });
  return { ...server, response, status: response.statusCode, body: response.json() };
}

const samplingFields = Object.values(samplingNumbers).map(({ field }) => field);
const errorLines = (log: Record<string, unknown>[]) => log.filter(({ level }) => level === 'error');

describe('what the engine is asked', () => {
  it.each([
    [{ seed: 0 }, true],
    [{ seed: -3, n: 2 }, true],
    [{ seed: null }, false],
    [{ temperature: 0 }, false],
  ])('with %j to give the same numbers again: %s', async (fields, isReproducible) => {
    const { engine } = await complete({ prompt: 'ab', ...fields });
    for (const request of engine.submitted) expect(request).toMatchObject({ isReproducible });
  });

  it('has the defaults', async () => {
    const { engine, status } = await complete({ prompt: 'ab' });
    expect(status).toBe(200);
    expect(engine.submitted).toEqual([
      {
        task: 'generate',
        id: expect.stringMatching(/^cmpl-[0-9a-f]{32}-0$/),
        model: 'tiny',
        promptTokens: [tokenOf('a'), tokenOf('b'), eos],
        completionPrefix: [],
        maxTokens: 16,
        sampling: {
          ...greedy,
          temperature: 1,
          seed: [expect.any(Number), expect.any(Number)],
        },
        stop: { strings: [], tokenIds: [], includeInOutput: false, ignoreEos: false, minTokens: 0 },
        logprobs: null,
        promptLogprobs: null,
        skipSpecialTokens: true,
        specialTexts: new Map(),
        isReproducible: false,
        priority: 0,
        client: 'address 127.0.0.1',
        cacheSalt: '',
        arrivedAt: 1000,
        queuedAt: 1000,
        queueDeadline: 1100,
        deadline: 2000,
      },
    ]);
  });

  it('is the same when every optional field is null', async () => {
    const names = [
      ...samplingFields,
      'max_tokens n logit_bias seed',
      'stop stop_token_ids include_stop_str_in_output min_tokens ignore_eos skip_special_tokens logprobs stream',
      'stream_options user best_of echo suffix prompt_logprobs allowed_token_ids bad_words truncate_prompt_tokens',
      'return_token_ids return_metrics priority request_id cache_salt add_special_tokens safety_identifier',
    ].flatMap((line) => line.split(' '));
    const { engine, status } = await complete({
      prompt: 'ab',
      ...Object.fromEntries(names.map((name) => [name, null])),
    });
    expect(status).toBe(200);
    expect(engine.submitted[0]).toMatchObject({
      maxTokens: 16,
      sampling: { temperature: 1, topP: 1 },
      logprobs: null,
    });
  });

  it('has every parameter', async () => {
    const { engine } = await complete({
      model: 'tiny',
      prompt: 'ab',
      max_tokens: 20,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 7,
      min_p: 0.1,
      presence_penalty: 1,
      frequency_penalty: -1,
      repetition_penalty: 1.5,
      logit_bias: { 5: -100, 258: 2.5 },
      seed: 42,
      stop: ['x', 'yz'],
      stop_token_ids: [9],
      include_stop_str_in_output: true,
      min_tokens: 3,
      ignore_eos: true,
      skip_special_tokens: false,
      logprobs: 2,
      user: 'someone',
    });
    expect(engine.submitted[0]).toMatchObject({
      maxTokens: 20,
      sampling: {
        temperature: 0.5,
        topK: 7,
        topP: 0.9,
        minP: 0.1,
        repetitionPenalty: 1.5,
        presencePenalty: 1,
        frequencyPenalty: -1,
        logitBias: [
          [5, -100],
          [258, 2.5],
        ],
        seed: [42, 0],
      },
      stop: { strings: ['x', 'yz'], tokenIds: [9], includeInOutput: true, ignoreEos: true, minTokens: 3 },
      skipSpecialTokens: false,
      logprobs: 2,
    });
  });

  it.each(Object.entries(samplingNumbers))('reads %s from its field', async (name, number) => {
    const value = 'maximum' in number ? number.maximum : number.minimum;
    const { engine } = await complete({ prompt: 'ab', [number.field]: value });
    expect(engine.submitted[0]!.sampling).toEqual({
      ...engine.submitted[0]!.sampling,
      ...eachSamplingNumber(({ neutral }) => neutral),
      [name]: value,
    });
  });

  it.each([
    ['a text', 'ab', [[100, 101, eos]]],
    [
      'texts',
      ['a', 'b'],
      [
        [100, eos],
        [101, eos],
      ],
    ],
    ['token ids', [100, 101], [[100, 101]]],
    ['lists of token ids', [[100], [101, 5]], [[100], [101, 5]]],
  ])('takes %s as prompt', async (_form, prompt, expected) => {
    const { engine } = await complete({ prompt });
    expect(engine.submitted.map(({ promptTokens }) => promptTokens)).toEqual(expected);
    expect(engine.calls).toHaveLength(1);
  });

  it('leaves a decoder-only model the room there is', async () => {
    const server = fakeServer({ models: [fakeModel('gpt', undefined, 'decoder-only')] });
    await complete({ prompt: 'a'.repeat(24) }, server);
    expect(server.engine.submitted[0]!.maxTokens).toBe(7);
    await complete({ prompt: 'a'.repeat(24), max_tokens: 7 }, server);
    expect(server.engine.submitted[1]!.maxTokens).toBe(7);
  });

  it('gives each choice of a prompt its own seed, the same for every prompt, and random ones without', async () => {
    const { engine } = await complete({ prompt: ['a', 'b'], n: 2, seed: -1 });
    const seeds = engine.submitted.map(({ sampling }) => sampling.seed);
    expect(seeds[0]).toEqual([0xffffffff, 0xffffffff]);
    expect(seeds[1]).not.toEqual(seeds[0]);
    expect(seeds.slice(2)).toEqual(seeds.slice(0, 2));
    const random = await complete({ prompt: 'a', n: 2 });
    expect(random.engine.submitted[0]!.sampling.seed).not.toEqual(random.engine.submitted[1]!.sampling.seed);
  });
});

describe('the answer', () => {
  it('has a choice for each prompt and n, in order, with usage', async () => {
    const server = fakeServer();
    server.engine.script = (request) => textEvents(request, `re-${request.id.split('-')[2]}`);
    const { body } = await complete({ prompt: ['a', 'bc'], n: 2 }, server);
    expect(body).toEqual({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'tiny',
      system_fingerprint: 'fp_0123456789ab',
      choices: [0, 1, 2, 3].map((index) => ({
        index,
        text: `re-${index}`,
        logprobs: null,
        finish_reason: 'stop',
        stop_reason: null,
      })),
      usage: {
        prompt_tokens: 5,
        completion_tokens: 16,
        total_tokens: 21,
        prompt_tokens_details: { cached_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    });
    expect(Math.abs(body.created - Date.now() / 1000)).toBeLessThan(5);
  });

  it('keeps text held back until the end, and says what stopped it', async () => {
    const server = fakeServer();
    server.engine.script = (request) => [
      ...textEvents(request, 'ab').slice(0, -1),
      {
        type: 'finished',
        id: request.id,
        reason: 'length',
        stopReason: 'xy',
        text: ' end',
        at: 4,
      },
    ];
    const { body } = await complete({ prompt: 'a' }, server);
    expect(body.choices[0]).toMatchObject({ text: 'ab end', finish_reason: 'length', stop_reason: 'xy' });
  });

  it('has OpenAI’s logprobs', async () => {
    const server = fakeServer();
    server.engine.script = (request) => [
      {
        type: 'tokens',
        id: request.id,
        at: 1,
        tokens: [tokenOf('h')],
        text: 'h',
        logprobs: [
          {
            logprob: -0.5,
            top: [
              { token: tokenOf('i'), logprob: -0.25 },
              { token: tokenOf('h'), logprob: -0.5 },
            ],
          },
        ],
      },
      {
        type: 'tokens',
        id: request.id,
        at: 2,
        tokens: [eos],
        text: '',
        logprobs: [{ logprob: Number.NEGATIVE_INFINITY, top: [] }],
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
    const { body } = await complete({ prompt: 'a', logprobs: 2 }, server);
    expect(body.choices[0].logprobs).toEqual({
      tokens: ['h', '</s>'],
      token_logprobs: [-0.5, -9999],
      top_logprobs: [{ h: -0.5, i: -0.25 }, { '</s>': -9999 }],
      text_offset: [0, 1],
    });
  });
});

describe('the model', () => {
  it('may be left out only where one is served', async () => {
    const models = [fakeModel('one'), fakeModel('two')];
    const { status, body } = await complete({ prompt: 'a' }, fakeServer({ models }));
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ param: 'model', message: '`model` is required: one of one, two.' });
    const named = await complete({ prompt: 'a', model: 'two' }, fakeServer({ models }));
    expect(named.engine.submitted[0]!.model).toBe('two');
  });

  it('answers to its default precision', async () => {
    expect((await complete({ prompt: 'a', model: 'tiny:fp32' })).body.model).toBe('tiny');
  });

  it('must be served', async () => {
    const { status, body } = await complete({ prompt: 'a', model: 'x'.repeat(5000) });
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: 'model_not_found', param: 'model' });
    expect(body.error.message.length).toBeLessThan(200);
  });

  it.each([
    [{ state: 'loading' } as const, '5'],
    [{ state: 'failed', message: 'no such file' } as const, '60'],
  ])('must be ready: %j', async (state, retryAfter) => {
    const { status, body, response, log } = await complete(
      { prompt: 'a' },
      fakeServer({ models: [fakeModel('tiny', state)] }),
    );
    expect(errorLines(log)).toEqual([]);
    expect(log.at(-1)).toMatchObject({ status: 503, errorCode: 'not_ready' });
    expect(status).toBe(503);
    expect(body.error.code).toBe('not_ready');
    expect(response.headers['retry-after']).toBe(retryAfter);
  });
});

describe('what goes wrong', () => {
  const scripted = (event: (id: string) => GenerationEvent[]) => {
    const server = fakeServer();
    server.engine.script = (request) => event(request.id);
    return server;
  };
  const failure = (
    id: string,
    code: 'engine_failure' | 'deadline_exceeded',
    message: string,
  ): GenerationEvent => ({
    type: 'failed',
    id,
    code,
    message,
    stage: 'queued',
    at: 4,
  });

  it.each([
    ['engine_failure', 500],
    ['deadline_exceeded', 504],
  ] as const)('%s is a %d', async (code, expected) => {
    const { status, body, log } = await complete(
      { prompt: 'a' },
      scripted((id) => [failure(id, code, 'it is so')]),
    );
    expect(status).toBe(expected);
    expect(errorLines(log)).toHaveLength(expected === 500 ? 1 : 0);
    expect(body.error).toEqual({ message: 'it is so', type: 'server_error', param: null, code });
  });

  it('one failed choice fails the request and aborts the others', async () => {
    const server = scripted((id) => (id.endsWith('-1') ? [failure(id, 'engine_failure', 'broken')] : []));
    const { status, engine } = await complete({ prompt: 'a', n: 3 }, server);
    expect(status).toBe(500);
    expect(engine.aborted.map((id) => id.slice(-2))).toEqual(['-0', '-2']);
  });

  it('a full queue is a 429 with Retry-After, rounded up', async () => {
    const server = fakeServer();
    server.engine.refusal = new ServiceError('queue_full', 'too many', { retryAfterSeconds: 2.2 });
    const { status, body, response } = await complete({ prompt: 'a' }, server);
    expect(status).toBe(429);
    expect(response.headers['retry-after']).toBe('3');
    expect(body.error).toMatchObject({ code: 'queue_full', type: 'rate_limit_error' });
  });

  it('what the service gives up is a 503', async () => {
    const server = scripted((id) => [
      {
        type: 'aborted',
        id,
        stage: 'decode',
        at: 4,
      },
    ]);
    const { status, body } = await complete({ prompt: 'a' }, server);
    expect(status).toBe(503);
    expect(body.error.code).toBe('shutting_down');
  });

  it('a fault of ours tells nothing of itself but is logged', async () => {
    const server = fakeServer();
    server.engine.script = () => {
      throw new Error('secret detail');
    };
    const { status, body, log, response } = await complete({ prompt: 'a' }, server);
    expect(status).toBe(500);
    expect(body.error.code).toBe('internal_error');
    expect(body.error.message).not.toContain('secret');
    expect(errorLines(log)).toEqual([
      expect.objectContaining({
        requestId: response.headers['x-request-id'],
        err: expect.objectContaining({ stack: expect.stringContaining('secret detail') }),
      }),
    ]);
  });

  it('nothing is begun while the service drains', async () => {
    const server = fakeServer();
    server.drain();
    const { status, body, response, engine, log } = await complete({ prompt: 'a' }, server);
    expect(status).toBe(503);
    expect(errorLines(log)).toEqual([]);
    expect(body.error.code).toBe('shutting_down');
    expect(response.headers['retry-after']).toBe('1');
    expect(response.headers.connection).toBe('close');
    expect(engine.submitted).toEqual([]);
  });
});
