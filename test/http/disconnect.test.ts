import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { GenerationEvent } from '../../src/engine/protocol/generation.ts';
import { textEvents } from '../support/fake-engine.ts';
import { type FakeServer, fakeServer } from '../support/fake-server.ts';

let server: FakeServer;
afterEach(() => server.app.close());

/** Sends a request on its own socket to an engine that emits no events by itself. */
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

describe('a client that does not read its stream', () => {
  const piece = 'x'.repeat(50_000);
  const pieces = (count: number, id: string): GenerationEvent[] =>
    Array.from({ length: count }, (_, at) => ({
      type: 'tokens',
      id,
      at,
      tokens: [5],
      logprobs: null,
      text: piece,
    }));

  it('is cut off once more waits for it than may, and its work ended', async () => {
    const request = await start({ stream: true, n: 1 });
    const answered = new Promise<IncomingMessage>((resolve) => request.on('response', resolve));
    const [only] = server.engine.submitted;
    // More than the sockets of both sides can hold.
    for (const event of pieces(400, only!.id)) server.engine.emit(event);
    (await answered).on('error', () => {});
    await setTimeout(1100);
    expect(server.engine.aborted).toEqual([]);
    for (const event of pieces(1, only!.id)) server.engine.emit(event);
    expect(await server.engine.abortion()).toEqual([only!.id]);
    expect(await accessLine()).toMatchObject({ status: 499, isSlowReader: true });
  });

  it('has all of it when it reads before that', async () => {
    const request = await start({ stream: true, n: 1 });
    const answered = new Promise<IncomingMessage>((resolve) => request.on('response', resolve));
    const [only] = server.engine.submitted;
    for (const event of pieces(15, only!.id)) server.engine.emit(event);
    server.engine.emit(textEvents(only!, '').at(-1)!);
    const response = await answered;
    let received = 0;
    response.on('data', (data: Buffer) => (received += data.length));
    await new Promise((resolve) => response.on('end', resolve));
    expect(received).toBeGreaterThan(15 * piece.length);
    expect(await accessLine()).not.toHaveProperty('isSlowReader');
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
