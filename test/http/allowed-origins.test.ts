import { describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { fakeServer } from '../support/fake-server.ts';

const page = 'https://app.example.com';
const preflight = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization',
};
const keyed = {
  apiKeys: new ApiKeys('alpha'),
  allowedHosts: [],
  corsOrigins: [page, 'http://localhost:3000'],
};

const headersOf = async (
  { method = 'GET', url = '/v1/models', ...headers }: Record<string, string>,
  config: Parameters<typeof fakeServer>[0] & object = { config: keyed },
) => {
  const payload = method === 'POST' ? { payload: { prompt: 'a', max_tokens: 2, stream: true } } : {};
  const options = { method: method as 'GET', url, headers, ...payload };
  const { statusCode, headers: found } = await fakeServer(config).app.inject(options);
  return { status: statusCode, allowed: found['access-control-allow-origin'], ...found };
};

describe('a preflight', () => {
  it.each(['/v1/completions', '/v1/models', '/metrics', '/nowhere'])('of %s needs no key', async (url) => {
    const answer = await headersOf({ method: 'OPTIONS', url, origin: page, ...preflight });
    expect(answer).toMatchObject({
      status: 204,
      allowed: page,
      'access-control-allow-methods': 'GET,HEAD,POST,DELETE',
      'access-control-allow-headers': 'authorization',
      'access-control-max-age': '3600',
    });
    expect(answer.vary).toMatch(/Origin/);
    expect(answer).not.toHaveProperty('access-control-allow-credentials');
  });

  it('from another origin allows it nothing', async () => {
    const answer = await headersOf({ method: 'OPTIONS', origin: 'https://evil.example', ...preflight });
    expect(answer.allowed).toBeUndefined();
    expect(answer.vary).toMatch(/Origin/);
  });

  it.each([{}, { origin: page }, preflight])('is none with %j alone', async (headers) => {
    const plain = await headersOf({ method: 'OPTIONS', ...headers });
    expect(plain).toMatchObject({ status: 405, allow: 'GET, HEAD' });
    expect(await headersOf({ method: 'OPTIONS', url: '/nowhere', ...headers })).toMatchObject({
      status: 404,
    });
  });

  it.each(['OPTIONS', 'GET'])('is off by default: %s', async (method) => {
    const answer = await headersOf({ method, origin: page, ...preflight }, {});
    expect(answer).toMatchObject({ status: method === 'GET' ? 200 : 405 });
    expect(JSON.stringify(answer)).not.toMatch(/access-control|Origin/);
  });
});

describe('an answer to an allowed origin', () => {
  it.each([
    ['a list', { authorization: 'Bearer alpha' }, 200],
    ['a stream', { authorization: 'Bearer alpha', method: 'POST', url: '/v1/completions' }, 200],
    ['a missing key', {}, 401],
    ['an unknown route', { url: '/nowhere' }, 404],
    ['a wrong method', { method: 'DELETE' }, 405],
    ['an unknown host', { host: 'evil.example' }, 421],
    ['a path that is no text', { url: '/%ff' }, 400],
  ])('may be read: %s', async (_what, request, status) => {
    const answer = await headersOf({ origin: page, ...request } as Record<string, string>);
    expect(answer).toMatchObject({ status, allowed: page });
    expect(answer.vary).toMatch(/Origin/);
    expect(answer['access-control-expose-headers']).toMatch(/^X-Request-Id, .*Retry-After/);
  });

  it('may be read by every page with *', async () => {
    const config = { config: { corsOrigins: ['*'] } };
    expect((await headersOf({ origin: 'https://any.example' }, config)).allowed).toBe('*');
    expect((await headersOf({ origin: 'null' }, config)).allowed).toBe('*');
  });

  it('may not be read by pages of other origins', async () => {
    for (const origin of [
      'https://evil.example',
      `${page}.evil.example`,
      'null',
      `${page}:8443`,
      'http://app.example.com',
    ])
      expect((await headersOf({ origin })).allowed, origin).toBeUndefined();
  });

  it('has no header that pages cannot read', async () => {
    const config = {
      config: { ...keyed, rateLimit: { requests: { count: 1, withinMs: 1000 }, concurrent: null } },
    };
    const server = fakeServer(config);
    const ask = () =>
      server.app.inject({ url: '/v1/models', headers: { origin: page, authorization: 'Bearer alpha' } });
    const own = [...Object.keys((await ask()).headers), ...Object.keys((await ask()).headers)].filter(
      (name) => /^(x-request|x-ratelimit|retry)/.test(name),
    );
    expect(new Set(own)).toEqual(
      new Set([
        'x-request-id',
        'x-ratelimit-limit-requests',
        'x-ratelimit-remaining-requests',
        'retry-after',
      ]),
    );
    const exposed = String((await ask()).headers['access-control-expose-headers'])
      .toLowerCase()
      .split(', ');
    expect(exposed).toEqual(expect.arrayContaining(own));
  });
});
