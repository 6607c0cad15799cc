import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { fakeServer } from '../support/fake-server.ts';

const bodyLimit = 10_000;
/** How many of the 64 maximum-size bodies one client alone may hold: half, so that as much remains free. */
const halfOfAll = 32;

describe('bodies that have not arrived whole', () => {
  let server: ReturnType<typeof fakeServer>;
  let sockets: Socket[];
  beforeEach(async () => {
    server = fakeServer({ config: { bodyLimit, apiKeys: new ApiKeys('a,b') } });
    await server.app.listen({ port: 0, host: '127.0.0.1' });
    sockets = [];
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await server.app.close();
  });

  /** Sends the head of a request, but not its whole body. @param length the header line with the body's length */
  async function begin(key: string, length = `Content-Length: ${bodyLimit}`): Promise<Socket> {
    const { port } = server.app.server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    const head = `POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n`;
    socket.write(`${head}Content-Type: application/json\r\n${length}\r\n\r\n`);
    return socket;
  }
  const statusOf = async (socket: Socket) => String((await once(socket, 'data'))[0]).split(' ')[1];
  const post = (key: string) =>
    server.app.inject({
      method: 'POST',
      url: '/v1/completions',
      headers: { authorization: `Bearer ${key}` },
      payload: { prompt: 'a'.repeat(bodyLimit - 100), temperature: 9 },
    });
  const hold = async (key: string, count: number) => {
    const requests = once(server.app.server, 'request');
    for (let i = 0; i < count; i += 1) await begin(key);
    await requests;
  };

  it('take from each client as much as they leave free', async () => {
    await hold('a', halfOfAll);
    expect(await statusOf(await begin('a'))).toBe('429');
    expect((await post('a')).json().error).toMatchObject({ code: 'queue_full', param: null });
    expect((await post('a')).headers['retry-after']).toBe('1');
    expect((await post('b')).statusCode).toBe(400);
    const { text } = await server.metrics.render();
    expect(text).toContain('altup_requests_rejected_total{model="",reason="queue_full"} 3');
  });

  it('leave room for others whatever several hold', async () => {
    await hold('a', halfOfAll);
    await hold('b', halfOfAll / 2);
    expect(await statusOf(await begin('b'))).toBe('429');
    expect((await post('b')).statusCode).toBe(429);
  });

  it('give it back once their connections are gone', async () => {
    await hold('a', halfOfAll);
    for (const socket of sockets) socket.destroy();
    await expect.poll(async () => (await post('a')).statusCode).toBe(400);
  });

  it('give it back once they are read', async () => {
    for (let i = 0; i < 3 * halfOfAll; i += 1) expect((await post('a')).statusCode).toBe(400);
    const together = await Promise.all(Array.from({ length: 3 }, () => post('a')));
    expect(together.map(({ statusCode }) => statusCode)).toEqual([400, 400, 400]);
  });

  it('count as the largest where they do not say how long they are', async () => {
    for (let i = 0; i < halfOfAll; i += 1) await begin('a', 'Transfer-Encoding: chunked');
    expect(await statusOf(await begin('a', 'Transfer-Encoding: chunked'))).toBe('429');
  });

  it('that are too large take nothing: they are refused unread', async () => {
    for (let i = 0; i < 2 * halfOfAll; i += 1) {
      expect(await statusOf(await begin('a', `Content-Length: ${bodyLimit + 1}`))).toBe('413');
    }
  });
});
