import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseRateLimit } from '../../src/config/rate-limit.ts';
import type { EmbeddingRequest, GenerationEvent } from '../../src/engine/protocol/generation.ts';
import { ServiceError } from '../../src/errors.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { fakeEmbedding, fakeWidth } from '../support/fake-session.ts';
import { eos, tokenOf } from '../support/fake-tokenizer.ts';

type Server = ReturnType<typeof fakeServer>;

const post = ({ app }: Server, payload: object) =>
  app.inject({ method: 'POST', url: '/v1/embeddings', payload });
const tokensOf = (text: string) => [...[...text].map(tokenOf), eos];
/** Most tests need no server of their own. */
const usual = fakeServer();
const long = (length: number) => 'x'.repeat(length);
const list = (tokens: readonly number[]) => Array.from(fakeEmbedding(tokens));

describe('/v1/embeddings', () => {
  it('answers with the engine’s numbers, in the order of the texts', async () => {
    const server = fakeServer();
    const response = await post(server, { input: ['hi', 'you', 'hi'], user: 'somebody' });
    const all = ['hi', 'you', 'hi'].map(tokensOf);
    expect(response.json()).toEqual({
      object: 'list',
      data: all.map((tokens, index) => ({ object: 'embedding', index, embedding: list(tokens) })),
      model: 'tiny',
      usage: { prompt_tokens: 10, total_tokens: 10 },
    });
    expect(server.engine.embeddings.map(({ promptTokens }) => promptTokens)).toEqual(all);
    expect(server.engine.embeddings[0]).toMatchObject({
      task: 'embed',
      model: 'tiny',
      arrivedAt: 1000,
      queueDeadline: 1100,
      deadline: 2000,
    });
  });

  it.each([
    ['a text', 'hi', [tokensOf('hi')]],
    ['texts', ['a', 'b'], [tokensOf('a'), tokensOf('b')]],
    ['token ids, as they are', [5, 6], [[5, 6]]],
    ['lists of token ids', [[5], [6, 7]], [[5], [6, 7]]],
  ])('takes %s', async (_, input, expected) => {
    const { data } = (await post(usual, { input })).json();
    expect(data.map(({ embedding }: { embedding: number[] }) => embedding)).toEqual(expected.map(list));
  });

  it('writes the same numbers in base64', async () => {
    const response = await post(usual, { input: ['hi', 'you'], encoding_format: 'base64' });
    for (const [i, text] of ['hi', 'you'].entries()) {
      const bytes = Buffer.from(response.json().data[i].embedding, 'base64');
      const numbers = Array.from({ length: fakeWidth }, (_, at) => bytes.readFloatLE(4 * at));
      expect(bytes).toHaveLength(4 * fakeWidth);
      expect(numbers).toEqual(list(tokensOf(text)));
    }
  });

  it.each([{ encoding_format: null }, { dimensions: fakeWidth }, { dimensions: null }, { user: null }])(
    'takes %j, which changes nothing',
    async (fields) => {
      const { data } = (await post(usual, { input: 'hi', ...fields })).json();
      expect(data[0].embedding).toEqual(list(tokensOf('hi')));
    },
  );

  it.each([
    ['input', '`input` is required.', {}],
    ['input', '`input` must be a non-empty string, a list of non-empty strings, ', { input: '' }],
    ['input', '`input` must be ', { input: [] }],
    ['input', '`input` must be ', { input: ['a', ''] }],
    ['input', '`input` must be ', { input: [[5], []] }],
    ['input', '`input` must be ', { input: null }],
    ['input', '`input` must be ', { input: ['a', 5] }],
    ['input', '`input` has the token id 259, which is outside the vocabulary', { input: [259] }],
    ['input', '`input` has 25 tokens; the model takes at most 24 tokens.', { input: long(24) }],
    ['input', '`input[1]` has 41 tokens; the model takes at most 24 tokens.', { input: ['a', long(40)] }],
    ['input', '`input[1]` has 25 tokens; ', { input: [[5], new Array(25).fill(5)] }],
    ['input', '`input` has 9999 characters; the model takes at most 24 tokens.', { input: long(9999) }],
    ['dimensions', "is 3; the embeddings of 'tiny' have 4 numbers", { input: 'a', dimensions: 3 }],
    ['dimensions', 'must be a whole number of at least 1 or null, not 0', { input: 'a', dimensions: 0 }],
    ['encoding_format', 'must be one of "float", "base64"', { input: 'a', encoding_format: 'hex' }],
    ['inputs', 'is not a known field; did you mean `input`?', { input: 'a', inputs: 'a' }],
    ['stream', '`stream` is not a known field', { input: 'a', stream: true }],
  ])('refuses `%s` that %s', async (param, message, payload) => {
    const { calls } = usual.engine;
    const before = calls.length;
    const response = await post(usual, payload);
    expect(response.statusCode).toBe(400);
    const { error } = response.json();
    expect(error).toMatchObject({ code: 'invalid_request', param });
    expect(error.message).toContain(message);
    expect(calls).toHaveLength(before);
  });

  it('refuses more inputs, and more tokens, than the queue could ever hold', async () => {
    const server = fakeServer({
      config: { maxQueuedRequests: 4, maxQueuedTokens: 40, clientQueueShare: 75 },
    });
    const messageFor = async (input: unknown) => (await post(server, { input })).json().error.message;
    expect((await post(server, { input: ['a', 'b', 'c'] })).statusCode).toBe(200);
    expect(await messageFor(['a', 'b', 'c', 'd'])).toBe('`input` has 4 inputs; the maximum is 3.');
    expect(await messageFor([long(15), long(15)])).toBe(
      'The tokens up to input 1 add up to 32; the maximum is 30 (ALTUP_MAX_QUEUED_TOKENS, ALTUP_CLIENT_QUEUE_SHARE).',
    );
  });

  it('refuses a model without an encoder', async () => {
    const server = fakeServer({ models: [fakeModel('gemma', undefined, 'decoder-only')] });
    const response = await post(server, { input: 'a' });
    expect(response.statusCode).toBe(400);
    expect(response.json().error).toMatchObject({
      param: 'model',
      message: `'gemma' has no encoder, so it has no embeddings; choose an encoder-decoder model, such as a T5.`,
    });
  });

  it('knows its models, and takes no new work while the service stops', async () => {
    const server = fakeServer({ models: [fakeModel('tiny'), fakeModel('late', { state: 'loading' })] });
    const statusOf = async (model: string) => (await post(server, { model, input: 'a' })).statusCode;
    expect(await statusOf('nobody')).toBe(404);
    expect(await statusOf('late')).toBe(503);
    expect(await statusOf('tiny')).toBe(200);
    server.drain();
    const response = await post(server, { model: 'tiny', input: 'a' });
    expect([response.statusCode, response.json().error.code]).toEqual([503, 'shutting_down']);
  });

  it('fails as a whole when one of its inputs fails', async () => {
    const server = fakeServer();
    const well = server.engine.embeddingScript;
    server.engine.embeddingScript = (request) => {
      const { id } = request;
      if (request.promptTokens.length < 3) return well(request);
      return [
        { type: 'failed', id, at: 2000, code: 'deadline_exceeded', message: 'Too late.', stage: 'queued' },
      ];
    };
    const response = await post(server, { input: ['a', 'abc', 'b'] });
    expect([response.statusCode, response.json().error.code]).toEqual([504, 'deadline_exceeded']);
  });

  it('passes on that the queue is full, and when to come back', async () => {
    const server = fakeServer();
    server.engine.refusal = new ServiceError('queue_full', 'Full.', { retryAfterSeconds: 7 });
    const response = await post(server, { input: 'a' });
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '7']);
  });

  it('counts each input among its client’s sequences, until it is done', async () => {
    const server = fakeServer({ config: { rateLimit: parseRateLimit('test', '2 concurrent') } });
    const refused = await post(server, { input: ['a', 'b', 'c'] });
    expect([refused.statusCode, refused.json().error.code]).toEqual([400, 'invalid_request']);
    for (let i = 0; i < 3; i += 1) expect((await post(server, { input: ['a', 'b'] })).statusCode).toBe(200);
    const { text } = await server.metrics.render();
    expect(text).toContain('altup_requests_rejected_total{model="tiny",reason="invalid_request"} 3');
    expect(text).toContain('altup_requests_total{model="tiny",route="/v1/embeddings",status="200"} 3');
  });

  it('logs one line, without the text', async () => {
    const server = fakeServer();
    const { clock, engine } = server;
    const script = engine.embeddingScript;
    engine.embeddingScript = (request) => {
      clock.now += 5;
      return script(request);
    };
    await post(server, { input: ['tell', 'nobody'] });
    const lines = server.log.filter(({ msg }) => msg === 'request');
    expect(lines).toMatchObject([
      { route: '/v1/embeddings', model: 'tiny', promptTokens: 12, queueMs: 1, prefillMs: 2, networkMs: 7 },
    ]);
    expect(lines[0]).not.toHaveProperty('generatedTokens');
    expect(JSON.stringify(server.log)).not.toMatch(/tell|nobody/);
  });

  it('aborts what nobody waits for any more', async () => {
    const server = fakeServer();
    onTestFinished(() => server.app.close());
    const submitted = Promise.withResolvers<EmbeddingRequest>();
    server.engine.embeddingScript = (request): GenerationEvent[] => {
      submitted.resolve(request);
      return [];
    };
    await server.app.listen({ port: 0 });
    const { port } = server.app.server.address() as AddressInfo;
    const headers = { 'content-type': 'application/json' };
    const request = httpRequest({ port, method: 'POST', path: '/v1/embeddings', headers, agent: false });
    request.on('error', () => {});
    request.end(JSON.stringify({ input: 'a' }));
    const { id } = await submitted.promise;
    request.destroy();
    expect(await server.engine.abortion()).toEqual([id]);
    await expect.poll(() => server.log.find(({ msg }) => msg === 'request')).toMatchObject({ status: 499 });
  });
});
