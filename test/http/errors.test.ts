import { request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { errorBody } from '../../src/http/error-response.ts';
import { fakeServer } from '../support/fake-server.ts';

const { app } = fakeServer({ config: { bodyLimit: 2000 } });

const post = (payload: string, contentType: string | undefined = 'application/json') =>
  app.inject({ method: 'POST', url: '/v1/completions', payload, headers: { 'content-type': contentType } });

describe('an error', () => {
  it.each([
    ['malformed JSON', '{"prompt": ', 'application/json', 400, 'invalid_request'],
    ['no body', '', 'application/json', 400, 'invalid_request'],
    ['a body that is no object', '"a"', 'application/json', 400, 'invalid_request'],
    [
      'a poisoned prototype',
      '{"prompt": "a", "__proto__": {"n": 2}}',
      'application/json',
      400,
      'invalid_request',
    ],
    ['deep nesting', '['.repeat(1900), 'application/json', 400, 'invalid_request'],
    ['plain text', 'a', 'text/plain', 400, 'invalid_request'],
    ['a form', 'prompt=a', 'application/x-www-form-urlencoded', 400, 'invalid_request'],
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

  it.each([
    ['POST', '/v1/chat/nothing'],
    ['GET', '/%ff'],
  ] as const)('for %s %s, which is no route', async (method, url) => {
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
});

describe('on a socket', () => {
  it('bytes that are no HTTP are answered in the same shape', async () => {
    const server = fakeServer().app;
    await server.listen({ port: 0 });
    const { port } = server.server.address() as AddressInfo;
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('nonsense\r\n\r\n'));
      socket.on('data', (data) => (text += data)).on('close', () => resolve(text));
    });
    await server.close();
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!).error.code).toBe('invalid_request');
  });

  it('a client that never ends its headers is let go with a 408', async () => {
    const server = fakeServer().app;
    await server.listen({ port: 0 });
    const { port } = server.server.address() as AddressInfo;
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('GET /version HTTP/1.1\r\nX-Slow:'));
      socket.on('data', (data) => (text += data)).on('close', () => resolve(text));
    });
    await server.close();
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
  });

  it('headers that are too large are a 431', async () => {
    const server = fakeServer().app;
    await server.listen({ port: 0 });
    const { port } = server.server.address() as AddressInfo;
    const status = await new Promise((resolve, reject) => {
      const headers = { 'x-large': 'x'.repeat(20_000) };
      httpRequest({ port, headers }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    await server.close();
    expect(status).toBe(431);
  });
});
