import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { textEvents } from '../support/fake-engine.ts';
import { fakeServer } from '../support/fake-server.ts';

describe('a client that keeps its half of a connection open', () => {
  const post = (headers: string) => `POST /v1/completions HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
  const json = 'Content-Type: application/json\r\n';
  const flood = `GET /version HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`;

  async function letGo(sent: string): Promise<string> {
    const server = fakeServer({ config: { bodyLimit: 2000 } }).app;
    await server.listen({ port: 0, host: '127.0.0.1' });
    const { port } = server.server.address() as AddressInfo;
    let text = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(sent));
    socket.on('data', (data) => (text += data)).on('error', () => {});
    const ended = new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
    await once(server.server, 'connection');
    const connections = promisify(server.server.getConnections.bind(server.server));
    await vi.waitUntil(async () => (await connections()) === 0, { timeout: 20_000 });
    // The server's last bytes may still be in transit.
    await ended;
    socket.destroy();
    await server.close();
    return text.split('\r\n')[0]!;
  }

  it.concurrent.each([
    ['sends no HTTP', 'nonsense\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
    ['speaks TLS', '\x16\x03\x01\x02\x00\x01', 'HTTP/1.1 400 Bad Request'],
    ['sends headers that are too large', flood, 'HTTP/1.1 431 Request Header Fields Too Large'],
    ['says nothing', '', 'HTTP/1.1 408 Request Timeout'],
    ['never ends its headers', 'GET /version HTTP/1.1\r\nX-Slow:', 'HTTP/1.1 408 Request Timeout'],
    [
      'announces a body that is too large',
      post(`${json}Content-Length: 9999999\r\n`),
      'HTTP/1.1 413 Payload Too Large',
    ],
    ['asks for a tunnel', 'CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n', ''],
    [
      'asks for another protocol',
      'GET /version HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n',
      'HTTP/1.1 200 OK',
    ],
  ])('and %s loses it', { timeout: 30_000 }, async (_, sent, status) => {
    expect(await letGo(sent)).toBe(status);
  });

  it('gets no refusal in the middle of an answer', async () => {
    const server = fakeServer();
    server.engine.script = () => [];
    await server.app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = server.app.server.address() as AddressInfo;
    const body = '{"prompt": "a", "stream": true}';
    let text = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () =>
      socket.write(`${post(`${json}Content-Length: ${body.length}\r\n`)}${body}`),
    );
    socket.on('data', (data) => (text += data)).on('error', () => {});
    const [request] = await server.engine.submission();
    for (const event of textEvents(request!, 'begun').slice(0, -1)) server.engine.emit(event);
    await expect.poll(() => text).toContain('"n"');
    socket.write('nonsense\r\n\r\n');
    await once(socket, 'end');
    await server.app.close();
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(text).not.toContain('HTTP/1.1 400');
  });
});
