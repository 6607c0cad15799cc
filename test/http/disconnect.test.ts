import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { textEvents } from '../support/fake-engine.ts';
import { type FakeServer, fakeServer } from '../support/fake-server.ts';

let server: FakeServer;
afterEach(() => server.app.close());

/** A request on a socket of its own, to an engine that says nothing by itself. */
async function start(payload: object): Promise<ClientRequest> {
  server = fakeServer();
  server.engine.script = () => [];
  await server.app.listen({ port: 0 });
  const { port } = server.app.server.address() as AddressInfo;
  const headers = { 'content-type': 'application/json' };
  const request = httpRequest({ port, method: 'POST', path: '/v1/completions', headers, agent: false });
  request.on('error', () => {});
  request.end(JSON.stringify({ prompt: 'a', n: 2, ...payload }));
  await server.engine.submission();
  return request;
}

const accessLine = async () => {
  const find = () => server.log.find(({ msg }) => msg === 'request');
  await expect.poll(find).toBeDefined();
  return find();
};

describe('a client that leaves', () => {
  it.each([false, true])('while nothing was sent aborts all its choices, stream: %s', async (stream) => {
    const request = await start({ stream });
    request.destroy();
    expect(await server.engine.abortion()).toEqual(server.engine.submitted.map(({ id }) => id));
    expect(await accessLine()).toMatchObject({ status: 499, model: 'tiny' });
    expect(server.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('in the middle of a stream aborts what still runs', async () => {
    const request = await start({ stream: true });
    const answered = new Promise<IncomingMessage>((resolve) => request.on('response', resolve));
    const [first, second] = server.engine.submitted;
    for (const event of textEvents(first!, 'hi')) server.engine.emit(event);
    const response = await answered;
    response.on('error', () => {});
    await new Promise((resolve) => response.once('data', resolve));
    request.destroy();
    expect(await server.engine.abortion()).toEqual([second!.id]);
    const line = await accessLine();
    expect(line).toMatchObject({ status: 499, generatedTokens: 2 });
    expect(line).not.toHaveProperty('errorCode');
  });
});

describe('a client that reads slowly', () => {
  it('is waited for, and not written to without end', async () => {
    const request = await start({ stream: true, n: 1 });
    const answered = new Promise<IncomingMessage>((resolve) => request.on('response', resolve));
    const [only] = server.engine.submitted;
    const text = 'x'.repeat(50_000);
    let taken = 0;
    for (let at = 1; at <= 400; at++) {
      server.engine.emit({
        type: 'tokens',
        id: only!.id,
        at,
        tokens: [5],
        logprobs: null,
        // Asked for when the event is taken from the engine.
        get text() {
          taken = at;
          return text;
        },
      });
    }
    server.engine.emit(textEvents(only!, '').at(-1)!);
    const response = await answered;
    // As long as nothing is read, the sockets' buffers are all that is filled.
    const seen: number[] = [];
    await expect
      .poll(() => seen.push(taken) > 1 && seen.at(-1) === seen.at(-2), { interval: 100 })
      .toBe(true);
    expect(taken).toBeLessThan(400);
    let received = 0;
    response.on('data', (data: Buffer) => (received += data.length));
    await new Promise((resolve) => response.on('end', resolve));
    expect(taken).toBe(400);
    expect(received).toBeGreaterThan(400 * 50_000);
  });
});

describe('a client that stays', () => {
  it('is not taken for gone when it has its answer', async () => {
    const request = await start({ n: 1 });
    const answered = new Promise<IncomingMessage>((resolve) => request.on('response', resolve));
    for (const event of textEvents(server.engine.submitted[0]!, 'hi')) server.engine.emit(event);
    expect((await answered).statusCode).toBe(200);
    (await answered).resume();
    expect(await accessLine()).toMatchObject({ status: 200 });
    expect(server.engine.calls[0]!.signal.aborted).toBe(false);
  });
});
