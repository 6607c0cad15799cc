import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { fakeServer } from '../support/fake-server.ts';

const statusOf = async (allowedHosts: string[] | null, host: string, url = '/v1/models') =>
  (await fakeServer({ config: { allowedHosts } }).app.inject({ url, headers: { host } })).statusCode;

describe('hosts', () => {
  it.each([
    'evil.example',
    'EVIL.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil-localhost',
    'example.com.',
  ])('that are not allowed are refused on every route: %s', async (host) => {
    for (const url of ['/v1/models', '/', '/metrics', '/health', '/docs', '/openapi.json', '/nowhere']) {
      expect(await statusOf([], host, url), url).toBe(421);
    }
    expect(await statusOf(null, host)).toBe(200);
    expect(await statusOf(['*'], host)).toBe(200);
  });

  it.each([
    'localhost',
    'LOCALHOST:8080',
    'localhost.',
    'app.localhost:80',
    '127.0.0.1:8080',
    '[::1]:8080',
    '10.1.2.3:8080',
    '[fd00::7]',
  ])('that only the machine or its network can have pass, as probes use them: %s', async (host) => {
    expect(await statusOf([], host)).toBe(200);
    expect(await statusOf(['api.example.com'], host, '/health/live')).toBe(200);
  });

  it('that are named pass, with any port, and what lies below a wildcard', async () => {
    const allowed = ['api.example.com', '*.example.org'];
    const statuses = async (...hosts: string[]) => Promise.all(hosts.map((host) => statusOf(allowed, host)));
    expect(await statuses('API.example.com:443', 'api.example.com.', 'a.b.example.org')).toEqual([
      200, 200, 200,
    ]);
    expect(await statuses('example.com', 'x.api.example.com', 'example.org', 'xexample.org')).toEqual(
      Array(4).fill(421),
    );
  });

  it('are named in the refusal, which is logged and counted', async () => {
    const { app, log, metrics } = fakeServer({ config: { allowedHosts: [] } });
    const response = await app.inject({ url: '/v1/models', headers: { host: 'evil.example' } });
    expect(response.json().error).toMatchObject({ code: 'host_not_allowed', type: 'invalid_request_error' });
    expect(response.json().error.message).toContain("'evil.example'");
    expect(log.at(-1)).toMatchObject({ status: 421, errorCode: 'host_not_allowed' });
    expect((await metrics.render()).text).toContain('route="/v1/models",status="421"} 1');
  });

  it.each([' ', 'a b', 'user@localhost', 'localhost/x', 'localhost:80:80', '[::1', 'http://localhost'])(
    'that are no host are a 400: %j',
    async (host) => {
      expect(await statusOf(null, host)).toBe(400);
    },
  );
});

describe('headers that may stand once', () => {
  const { app } = fakeServer();
  afterAll(() => app.close());

  it.each([
    ['Host: localhost', 'Host: localhost'],
    ['Host: localhost', 'host: evil.example'],
    ['Host: localhost', 'Authorization: Bearer a', 'authorization: Bearer b'],
    ['Host: localhost', 'X-API-Key: a', 'x-api-key: b'],
    ['Host: localhost', 'Content-Type: application/json', 'Content-type: text/plain'],
  ])('are refused when they stand twice: %s, %s', async (...headers) => {
    if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' });
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    const lines = ['GET /v1/models HTTP/1.1', ...headers, 'Accept: a', 'Accept: b', 'Connection: close'];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain('send one');
  });

  it('count less than the target of the request, where that names a host', async () => {
    const guarded = fakeServer({ config: { allowedHosts: [] } }).app;
    onTestFinished(() => guarded.close());
    await guarded.listen({ port: 0, host: '127.0.0.1' });
    const statusLine = async (target: string, host: string) => {
      const socket = connect((guarded.server.address() as AddressInfo).port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      return (await text(socket)).slice(0, 12);
    };
    expect(await statusLine('http://evil.example/version', 'localhost')).toBe('HTTP/1.1 421');
    expect(await statusLine('http://localhost:80/version', 'evil.example')).toBe('HTTP/1.1 200');
    expect(await statusLine('http://a@localhost/version', 'localhost')).toBe('HTTP/1.1 400');
  });

  it.each(['HTTP/1.0', 'HTTP/1.1\r\nConnection: close\r\nHost:'])('may name nothing: %j', async (rest) => {
    const { port } = app.server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(`GET /version ${rest}\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1.1 200 /);
  });
});
