import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { errorBody } from '../../src/http/errors/error-response.ts';
import { fakeServer } from '../support/fake-server.ts';

const { app } = fakeServer({ config: { bodyLimit: 2000 } });

const post = (payload: string, contentType: string | undefined = 'application/json') =>
  app.inject({ method: 'POST', url: '/v1/completions', payload, headers: { 'content-type': contentType } });

describe('an error', () => {
  it.each([
    ['malformed JSON', '{"prompt": ', 'application/json', 400, 'invalid_request'],
    ['no body', '', 'application/json', 400, 'invalid_request'],
    ['a body that is no object', '"a"', 'application/json', 400, 'invalid_request'],
    ['deep nesting', '['.repeat(1900), 'application/json', 400, 'invalid_request'],
    ['plain text', 'a', 'text/plain', 415, 'unsupported_media_type'],
    ['a form', 'prompt=a', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
    [
      'a body that is too large',
      `{"prompt": "${'a'.repeat(2000)}"}`,
      'application/json',
      413,
      'payload_too_large',
    ],
  ])('for %s has OpenAI’s shape', async (_what, payload, contentType, status, code) => {
    const response = await post(payload, contentType);
    expect(response.statusCode).toBe(status);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
    expect(response.json()).toEqual({
      error: { message: expect.any(String), type: 'invalid_request_error', param: null, code },
    });
  });

  it('for a number too large to be one names its field', async () => {
    const response = await post('{"prompt": "a", "temperature": 1e999}');
    expect(response.statusCode).toBe(400);
    expect(response.json().error.param).toBe('temperature');
  });

  it('for a form says which type to send', async () => {
    expect((await post('prompt=a', 'text/plain')).json().error.message).toContain(
      'Content-Type: application/json',
    );
  });

  it.each([['POST', '/v1/chat/nothing']] as const)('for %s %s, which is no route', async (method, url) => {
    const response = await app.inject({ method, url });
    expect(response.json().error).toMatchObject({ param: null, type: 'invalid_request_error' });
    expect([400, 404]).toContain(response.statusCode);
  });

  it.each([
    ['GET', '/v1/completions', 'POST'],
    ['DELETE', '/v1/models/tiny?x=1', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['QUERY', '/version', 'GET, HEAD'],
  ] as const)('for %s %s has the methods the route takes', async (method, url, allow) => {
    const response = await app.inject({ method, url });
    expect(response.statusCode).toBe(405);
    expect(response.headers.allow).toBe(allow);
    expect(response.json().error).toMatchObject({ code: 'method_not_allowed', param: null });
  });

  it('is never much larger than the request', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `"field${index}": 1`).join(',');
    const many = await post(`{${names}}`);
    expect(many.statusCode).toBe(400);
    expect(Buffer.byteLength(many.body)).toBeLessThan(300);
    const long = await app.inject(`/${'x'.repeat(10_000)}`);
    expect(Buffer.byteLength(long.body)).toBeLessThan(500);
    const huge = errorBody(
      new ServiceError('invalid_request', '\u0001'.repeat(5000), { param: 'é'.repeat(5000) }),
    );
    expect(Buffer.byteLength(JSON.stringify(huge))).toBeLessThanOrEqual(2048);
    expect(huge.error.message).toMatch(/…$/);
  });

  it('is never cut inside a character', () => {
    const emoji = `a${'😀'.repeat(5000)}`;
    const { error } = errorBody(new ServiceError('invalid_request', emoji, { param: emoji }));
    expect([error.message.isWellFormed(), error.param?.isWellFormed()]).toEqual([true, true]);
  });
});

describe('a path', () => {
  it('of a model with a long name is not found', async () => {
    for (const length of [101, 130, 5000]) {
      const response = await app.inject(`/v1/models/${'x'.repeat(length)}`);
      expect(response.statusCode).toBe(404);
      expect(response.json().error).toMatchObject({ code: 'model_not_found', param: 'model' });
      expect(response.json().error.message).toContain(`'${'x'.repeat(100)}`);
    }
  });

  it.each(['/%ff', '/%', '/v1/models/a%2', '/v1/models/%ED%A0%80', '/metrics%c0%af?x=%'])(
    '%s, which cannot be decoded, is refused like every other',
    async (url) => {
      const { app, log } = fakeServer();
      const response = await app.inject({ url, headers: { 'x-request-id': 'mine' } });
      expect(response.statusCode).toBe(400);
      expect(response.json().error.message).toMatch(/^The path is not valid: each `%` must be followed/);
      expect(response.headers).toMatchObject({ 'x-request-id': 'mine', 'x-content-type-options': 'nosniff' });
      expect(log).toContainEqual(expect.objectContaining({ requestId: 'mine', status: 400, route: 'none' }));
      const metrics = (await app.inject('/metrics')).body;
      expect(metrics).toMatch(/altup_requests_total\{model="",route="none",status="400"\} 1/);
    },
  );

  it('of a page that is not there has our words', async () => {
    const response = await app.inject('/docs/static/nothing.js');
    expect([response.statusCode, response.json().error.code]).toEqual([404, 'not_found']);
  });
});

/** Everything that a server answers to `text`. */
async function answerTo(text: string, server = fakeServer()) {
  await server.app.listen({ port: 0 });
  const { port } = server.app.server.address() as AddressInfo;
  const answer = await new Promise<string>((resolve) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (data) => (received += data)).on('close', () => resolve(received));
  });
  await server.app.close();
  const [head, body] = answer.split('\r\n\r\n');
  const requestId = /^x-request-id: (.*)$/im.exec(head!)?.[1];
  return { status: Number(head!.split(' ')[1]), requestId, error: JSON.parse(body!).error, server };
}

describe('on a socket', () => {
  it.each([
    ['bytes that are no HTTP', 'nonsense\r\n\r\n', 400, 'Bad Request'],
    [
      'headers that are too large',
      `GET / HTTP/1.1\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'Request Header Fields Too Large',
    ],
    ['headers that never end', 'GET /version HTTP/1.1\r\nX-Slow:', 408, 'Request Timeout'],
  ])('%s are answered, logged and counted like requests', async (_what, text, status, reason) => {
    const { server, requestId, ...answer } = await answerTo(text);
    expect(answer).toMatchObject({
      status,
      error: {
        code: 'invalid_request',
        param: null,
        message: `The service could not read the HTTP request: ${reason}.`,
      },
    });
    expect(server.log).toContainEqual(expect.objectContaining({ requestId, status }));
    expect((await server.metrics.render()).text).toContain(
      `altup_requests_total{model="",route="none",status="${status}"} 1`,
    );
  });

  it.each([
    ['1.1', 400, 'invalid_request', 'The request has no `Host` header, which HTTP/1.1 requires.'],
    ['1.0', 404, 'not_found', 'There is no /nothing; see /docs.'],
  ])('HTTP/%s without a host is answered as a request', async (version, status, code, message) => {
    const answer = await answerTo(`GET /nothing HTTP/${version}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatchObject({ status, requestId: expect.any(String), error: { code, message } });
    expect(answer.server.log).toContainEqual(
      expect.objectContaining({ requestId: answer.requestId, status }),
    );
  });

  it('an expectation that nobody knows is passed over', async () => {
    const answer = await answerTo(
      'GET /nothing HTTP/1.1\r\nHost: localhost\r\nExpect: wonders\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatchObject({
      status: 404,
      requestId: expect.any(String),
      error: { code: 'not_found' },
    });
  });
});
