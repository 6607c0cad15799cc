import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Client } from '../../src/loadtest/load/client.ts';
import type { RequestOptions } from '../../src/loadtest/load/target.ts';

/** A client of a server that answers through `listener`. */
async function clientOf(listener: RequestListener, options: Partial<RequestOptions> = {}): Promise<Client> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new Client(
    { url, model: 'm', label: 'm', isBaseline: false },
    { endpoint: 'completions', temperature: 0, fields: {}, timeoutMs: 5000, apiKey: null, ...options },
  );
  onTestFinished(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

const prompt = { text: 'She had', maxTokens: 5 };
const send = (client: Client) => client.send(prompt, performance.now());
const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const content = (text: string) => event({ choices: [{ index: 0, text }] });
const usage = event({ choices: [], usage: { prompt_tokens: 4, completion_tokens: 3 } });
const done = 'data: [DONE]\n\n';

describe('Client', () => {
  it('asks for a stream with usage, as each endpoint wants it, and sends the key', async () => {
    const seen: { url: string; headers: IncomingHttpHeaders; body: unknown }[] = [];
    const listener: RequestListener = async (request, response) => {
      seen.push({ url: request.url!, headers: request.headers, body: await json(request) });
      response.end(content('a') + usage + done);
    };
    await send(await clientOf(listener, { apiKey: 'sesame', fields: { ignore_eos: true } }));
    await send(await clientOf(listener, { endpoint: 'chat' }));
    const common = {
      model: 'm',
      max_tokens: 5,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    };
    expect(seen[0]).toMatchObject({ url: '/v1/completions', headers: { authorization: 'Bearer sesame' } });
    expect(seen[0]!.body).toEqual({ ...common, prompt: 'She had', ignore_eos: true });
    expect(seen[1]!.url).toBe('/v1/chat/completions');
    expect(seen[1]!.headers).not.toHaveProperty('authorization');
    expect(seen[1]!.body).toEqual({ ...common, messages: [{ role: 'user', content: 'She had' }] });
  });

  it('notes when there was content, across chunks cut anywhere, and passes over comments and empty pieces', async () => {
    const client = await clientOf(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`: ping\n\n${content('')}`);
      await new Promise((resolve) => setTimeout(resolve, 60));
      response.write(content('a').slice(0, 9));
      response.write(content('a').slice(9));
      await new Promise((resolve) => setTimeout(resolve, 60));
      response.end(event({ choices: [{ index: 0, delta: { content: 'b' } }] }) + usage + done);
    });
    const record = await send(client);
    expect(record).toMatchObject({ failure: null, status: 200, promptTokens: 4, outputTokens: 3 });
    expect(record.firstContentAt! - record.sentAt).toBeGreaterThan(55);
    expect(record.gapsMs).toHaveLength(1);
    expect(record.gapsMs[0]).toBeGreaterThan(55);
  });

  it.each<[string, RequestListener]>([
    [
      'http 429 queue_full',
      (_, response) => response.writeHead(429).end('{"error": {"code": "queue_full"}}'),
    ],
    ['http 502', (_, response) => response.writeHead(502).end('<html>')],
    [
      'stream error engine_failure',
      (_, response) => response.end(content('a') + event({ error: { code: 'engine_failure' } }) + done),
    ],
    ['incomplete stream', (_, response) => response.end(content('a'))],
    ['malformed stream', (_, response) => response.end('data: {oops\n\n')],
    ['timeout', (_, response) => void response.write(content('a'))],
    ['connection ECONNRESET', (request) => void request.socket.destroy()],
    [
      'connection ECONNRESET',
      (request, response) =>
        response.write(content('a'), () => setTimeout(() => request.socket.destroy(), 50)),
    ],
  ])('names a failure: %s', async (failure, listener) => {
    const client = await clientOf(listener, { timeoutMs: 400 });
    expect(await send(client)).toMatchObject({ failure });
  });

  it('names a server that is not there', async () => {
    const target = { url: 'http://127.0.0.1:1', model: 'm', label: 'm', isBaseline: false };
    const options = { endpoint: 'chat', temperature: 0, fields: {}, timeoutMs: 5000, apiKey: null } as const;
    expect(await send(new Client(target, options))).toMatchObject({
      failure: 'connection ECONNREFUSED',
      status: null,
    });
  });

  it('sends once more what met a connection that was just being closed', async () => {
    let count = 0;
    const client = await clientOf((request, response) => {
      count += 1;
      if (count === 2) request.socket.resetAndDestroy();
      else response.end(content('a') + usage + done);
    });
    expect(await send(client)).toMatchObject({ failure: null });
    expect(await send(client)).toMatchObject({ failure: null });
    expect(count).toBe(3);
  });
});
