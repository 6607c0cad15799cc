import { createParser } from 'eventsource-parser';
import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { type FakeEngine, textEvents } from '../support/fake-engine.ts';
import { fakeServer } from '../support/fake-server.ts';
import { tokenOf } from '../support/fake-tokenizer.ts';

function parse(body: string): string[] {
  const events: string[] = [];
  createParser({ onEvent: ({ data }) => events.push(data) }).feed(body);
  return events;
}

async function stream(payload: object, script?: FakeEngine['script']) {
  const server = fakeServer();
  if (script) server.engine.script = script;
  const response = await server.app.inject({
    method: 'POST',
    url: '/v1/completions',
    payload: { prompt: 'a', stream: true, ...payload },
  });
  const events = parse(response.body);
  const chunks = events.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data));
  return { ...server, response, events, chunks };
}

describe('a stream', () => {
  it('has the headers of one', async () => {
    const { response } = await stream({});
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'x-request-id': expect.any(String),
    });
  });

  it('is chunks of the answer’s shape and [DONE]', async () => {
    const { chunks, events } = await stream({}, (request) => textEvents(request, 'hé'));
    const head = {
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'tiny',
      system_fingerprint: 'fp_0123456789ab',
    };
    const choice = { index: 0, logprobs: null, stop_reason: null };
    expect(chunks).toEqual([
      { ...head, choices: [{ ...choice, text: 'h', finish_reason: null }] },
      { ...head, choices: [{ ...choice, text: 'é', finish_reason: null }] },
      { ...head, choices: [{ ...choice, text: '', finish_reason: 'stop' }] },
    ]);
    expect(events.at(-1)).toBe('[DONE]');
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it('ends with usage where asked, and every other chunk says it is null', async () => {
    const { chunks, events } = await stream({ n: 2, stream_options: { include_usage: true } });
    const [usage, ...others] = chunks.reverse();
    expect(usage).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 },
    });
    expect(others).toHaveLength(6);
    for (const chunk of others) expect(chunk.usage).toBeNull();
    expect(events.at(-1)).toBe('[DONE]');
  });

  it('has usage so far in every chunk where asked', async () => {
    const options = { include_usage: true, continuous_usage_stats: true };
    const { chunks } = await stream({ stream_options: options });
    expect(chunks.map(({ usage }) => usage.completion_tokens)).toEqual([1, 2, 2, 2]);
    const { chunks: without } = await stream({ stream_options: { continuous_usage_stats: true } });
    for (const chunk of without) expect(chunk).not.toHaveProperty('usage');
  });

  it('takes what load generators send', async () => {
    const { response } = await stream({
      model: 'tiny',
      max_tokens: 8,
      temperature: 0,
      repetition_penalty: 1,
      logprobs: null,
      ignore_eos: true,
      top_p: 1,
      top_k: -1,
      min_p: 0,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    expect(response.statusCode).toBe(200);
  });

  it('leaves out chunks that add nothing, but not their logprobs', async () => {
    const script: FakeEngine['script'] = (request) => [
      { type: 'tokens', id: request.id, at: 1, tokens: [tokenOf('a')], text: '', logprobs: null },
      {
        type: 'tokens',
        id: request.id,
        at: 2,
        tokens: [tokenOf('b')],
        text: '',
        logprobs: [{ logprob: -1, top: [] }],
      },
      {
        type: 'finished',
        id: request.id,
        reason: 'stop',
        stopReason: 7,
        text: 'ab',
        at: 4,
      },
    ];
    const { chunks } = await stream({ logprobs: 0 }, script);
    expect(chunks.map(({ choices }) => choices[0])).toMatchObject([
      {
        text: '',
        logprobs: { tokens: ['b'], token_logprobs: [-1], top_logprobs: [{ b: -1 }], text_offset: [0] },
      },
      { text: 'ab', finish_reason: 'stop', stop_reason: 7 },
    ]);
  });
});

describe('an error', () => {
  const failAfter = (text: string): FakeEngine['script'] => {
    return (request) => [
      ...textEvents(request, text).slice(0, -1),
      {
        type: 'failed',
        id: request.id,
        code: 'engine_failure',
        message: 'broken',
        stage: 'decode',
        at: 4,
      },
    ];
  };

  it('after the first chunk is an event, then [DONE]', async () => {
    const { response, chunks, events, log } = await stream({}, failAfter('h'));
    expect(response.statusCode).toBe(200);
    expect(chunks).toHaveLength(2);
    expect(chunks[1]).toEqual({
      error: { message: 'broken', type: 'server_error', param: null, code: 'engine_failure' },
    });
    expect(events.at(-1)).toBe('[DONE]');
    expect(log.find(({ msg }) => msg === 'request')).toMatchObject({
      status: 200,
      errorCode: 'engine_failure',
    });
  });

  it('before it has its status', async () => {
    const { response } = await stream({}, failAfter(''));
    expect(response.statusCode).toBe(500);
    expect(response.json().error.code).toBe('engine_failure');
  });

  it('at admission has its status', async () => {
    const { response } = await stream({}, () => {
      throw new ServiceError('queue_full', 'too many');
    });
    expect(response.statusCode).toBe(429);
    expect(response.headers['retry-after']).toBe('1');
  });

  it('in one choice ends the others', async () => {
    const { engine, chunks } = await stream({ n: 2 }, (request) =>
      request.id.endsWith('-0') ? failAfter('h')(request) : [],
    );
    expect(chunks.at(-1).error.code).toBe('engine_failure');
    expect(engine.aborted.map((id) => id.slice(-2))).toEqual(['-1']);
  });
});
