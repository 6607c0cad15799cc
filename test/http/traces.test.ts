import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import type { ServerConfig } from '../../src/http/server-dependencies.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { OtlpExporter } from '../../src/observability/otlp-exporter.ts';
import type { OtlpSpan } from '../../src/observability/otlp-span.ts';
import { textEvents } from '../support/fake-engine.ts';
import { fakeServer } from '../support/fake-server.ts';

interface Export {
  resourceSpans: { resource: { attributes: unknown[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}

/** A collector that stores everything it receives. */
let collector: Server;
let received: Export[];
let answer: number;
let endpoint: string;

beforeEach(async () => {
  received = [];
  answer = 200;
  collector = createServer(async (request, response) => {
    expect([request.method, request.url]).toEqual(['POST', '/v1/traces']);
    expect(request.headers['content-type']).toBe('application/json');
    let text = '';
    for await (const data of request) text += data;
    received.push(JSON.parse(text));
    response.writeHead(answer, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/`;
});
afterEach(() => collector.close());

function tracedServer(config: Partial<ServerConfig> = {}) {
  const log: Record<string, unknown>[] = [];
  const logger = createLogger('info', { write: (line) => log.push(JSON.parse(line)) });
  const traces = new OtlpExporter(endpoint, '1.2.3', logger);
  const server = fakeServer({ traces, config });
  const post = (url: string, payload: object, headers: Record<string, string> = {}) =>
    server.app.inject({ method: 'POST', url, payload, headers });
  return { ...server, traces, post, log };
}

const spans = () => received.flatMap(({ resourceSpans: [only] }) => only!.scopeSpans[0]!.spans);
const plain = ({ attributes }: OtlpSpan) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
const lengthMs = ({ startTimeUnixNano, endTimeUnixNano }: OtlpSpan) =>
  Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e6;

describe('traces', () => {
  it.each([false, true])('have a span a request with its stages below, stream: %s', async (stream) => {
    const { post, traces, clock, engine } = tracedServer();
    engine.script = (request) => {
      clock.now += 20;
      return textEvents(request, 'zyw');
    };
    const body = { prompt: 'tell nobody', max_tokens: 9, temperature: 1, stop: ['x'], seed: 3, stream };
    const response = await post('/v1/completions', body);
    await traces.flush();
    const [whole, ...stages] = spans();
    expect(whole).toMatchObject({
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
      name: 'text_completion tiny',
      kind: 2,
      status: {},
    });
    expect(whole).not.toHaveProperty('parentSpanId');
    expect(plain(whole!)).toEqual({
      'client.address': '127.0.0.1',
      'gen_ai.operation.name': 'text_completion',
      'gen_ai.provider.name': 'altup-serve',
      'gen_ai.request.model': 'tiny',
      'gen_ai.response.model': 'tiny',
      'gen_ai.request.max_tokens': '9',
      'gen_ai.request.temperature': 1,
      'gen_ai.request.seed': '3',
      'gen_ai.request.stop_sequences': { values: [{ stringValue: 'x' }] },
      'gen_ai.request.stream': stream,
      'gen_ai.request.choice.count': '1',
      'gen_ai.response.id': /cmpl-[0-9a-f]+/.exec(response.body)![0],
      'gen_ai.response.finish_reasons': { values: [{ stringValue: 'stop' }] },
      'gen_ai.response.time_to_first_chunk': 0.003,
      'gen_ai.usage.input_tokens': '12',
      'gen_ai.usage.output_tokens': '3',
      'gen_ai.usage.cache_read.input_tokens': '0',
      'http.request.method': 'POST',
      'http.route': '/v1/completions',
      'http.response.status_code': '200',
      'altup.request.id': response.headers['x-request-id'],
    });
    expect(lengthMs(whole!)).toBeCloseTo(20, 2);
    expect(Math.abs(Number(BigInt(whole!.endTimeUnixNano) / 1_000_000n) - Date.now())).toBeLessThan(10_000);
    expect(stages.map((stage) => [stage.name, stage.kind, lengthMs(stage)])).toEqual([
      ['queue', 1, 1],
      ['prefill', 1, 2],
      ['decode', 1, 1],
      ['network', 1, 16],
    ]);
    for (const stage of stages) {
      expect(stage).toMatchObject({ traceId: whole!.traceId, parentSpanId: whole!.spanId });
    }
    expect(JSON.stringify(received)).not.toMatch(/tell|zyw/);
    expect(received[0]!.resourceSpans[0]!.resource.attributes).toContainEqual({
      key: 'service.name',
      value: { stringValue: 'altup-serve' },
    });
  });

  it('name embeddings by their own operation, with the stages they have', async () => {
    const { post, traces, clock, engine } = tracedServer();
    const script = engine.embeddingScript;
    engine.embeddingScript = (request) => {
      clock.now += 10;
      return script(request);
    };
    await post('/v1/embeddings', { input: ['tell', 'nobody'], encoding_format: 'base64' });
    await traces.flush();
    const [whole, ...stages] = spans();
    expect(whole).toMatchObject({ name: 'embeddings tiny', status: {} });
    expect(plain(whole!)).toMatchObject({
      'gen_ai.operation.name': 'embeddings',
      'gen_ai.request.encoding_formats': { values: [{ stringValue: 'base64' }] },
      'gen_ai.usage.input_tokens': '12',
    });
    expect(plain(whole!)).not.toHaveProperty('gen_ai.usage.output_tokens');
    expect(stages.map((stage) => [stage.name, lengthMs(stage)])).toEqual([
      ['queue', 1],
      ['prefill', 2],
      ['network', 17],
    ]);
    expect(JSON.stringify(received)).not.toMatch(/tell|nobody/);
  });

  it('name the client and the model on each stage too', async () => {
    const apiKeys = new ApiKeys('sesame');
    const { post, traces, clock, engine } = tracedServer({ apiKeys });
    const script = engine.script;
    engine.script = (request) => {
      clock.now += 20;
      return script(request);
    };
    await post('/v1/completions', { prompt: 'a' }, { authorization: 'Bearer sesame' });
    await traces.flush();
    expect(spans()).toHaveLength(5);
    for (const span of spans()) {
      expect(plain(span)).toMatchObject({ 'gen_ai.request.model': 'tiny', 'altup.client.name': 'key-1' });
    }
  });

  it('have the parameters of a response under the same names', async () => {
    const { post, traces } = tracedServer();
    const body = { input: 'tell nobody', max_output_tokens: 9, top_p: 0.5, tools: [] };
    const response = await post('/v1/responses', body);
    await traces.flush();
    expect(spans()[0]!.name).toBe('chat tiny');
    expect(plain(spans()[0]!)).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.max_tokens': '9',
      'gen_ai.request.top_p': 0.5,
      'gen_ai.response.id': response.json().id,
      'http.route': '/v1/responses',
    });
    expect(JSON.stringify(received)).not.toContain('nobody');
  });

  it('are part of the caller’s, where that is sampled', async () => {
    const { post, traces } = tracedServer();
    const id = 'a'.repeat(32);
    const chat = { messages: [{ role: 'user', content: 'a' }] };
    for (const traceparent of [
      `00-${id}-${'b'.repeat(16)}-01`,
      `00-${'c'.repeat(32)}-${'b'.repeat(16)}-00`,
      `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
    ])
      await post('/v1/chat/completions', chat, { traceparent });
    await traces.flush();
    const roots = spans().filter(({ kind }) => kind === 2);
    expect(roots).toHaveLength(2);
    expect(roots[0]).toMatchObject({ name: 'chat tiny', traceId: id, parentSpanId: 'b'.repeat(16) });
    expect(roots[1]!.traceId).not.toBe('0'.repeat(32));
  });

  it('tell errors of ours from the client’s', async () => {
    const { post, traces, engine } = tracedServer();
    await post('/v1/completions', { prompt: 'a', max_tokens: 1000 });
    engine.script = (request) => [
      {
        type: 'failed',
        id: request.id,
        code: 'engine_failure',
        message: 'broken',
        stage: 'decode',
        at: 4,
      },
    ];
    await post('/v1/completions', { prompt: 'a' });
    await traces.flush();
    const [refused, failed] = spans().filter(({ kind }) => kind === 2);
    expect(refused!.status).toEqual({});
    expect(plain(refused!)['error.type']).toBe('invalid_request');
    expect(failed!.status).toEqual({ code: 2, message: 'engine_failure' });
    expect(plain(failed!)).toMatchObject({
      'error.type': 'engine_failure',
      'http.response.status_code': '500',
    });
  });

  it('that a collector does not take are lost, with a word in the log', async () => {
    const { post, traces, log } = tracedServer();
    answer = 503;
    await post('/v1/completions', { prompt: 'a' });
    await traces.flush();
    await post('/v1/completions', { prompt: 'a' });
    await traces.flush();
    expect(received).toHaveLength(2);
    expect(log.filter(({ level }) => level === 'warn')).toMatchObject([
      { spans: 1, reason: 'the collector answered 503', msg: 'traces could not be sent' },
    ]);
  });
});
