import { beforeEach, describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { fakeServer } from '../support/fake-server.ts';

const server = fakeServer({ config: { apiKeys: new ApiKeys('alpha,beta') } });
const isRead = (url: string) => url.startsWith('/v1/models') || url === '/tokenizer_info';
const ask = (url: string, authorization?: string) =>
  server.app.inject({
    method: isRead(url) ? 'GET' : 'POST',
    url,
    ...(isRead(url) ? {} : { payload: { prompt: 'a', tokens: [5] } }),
    headers: authorization === undefined ? {} : { authorization },
  });

const guarded = [
  '/v1/completions',
  '/v1/chat/completions',
  '/v1/models',
  '/v1/models/tiny',
  '/tokenize',
  '/detokenize',
  '/tokenizer_info',
];

// Long enough for the server to forget the refusals of earlier tests.
beforeEach(() => {
  server.clock.now += 60_000;
});

describe('with API keys', () => {
  it.each(guarded)('%s needs one', async (url) => {
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      'Bearer gamma',
      'Basic alpha',
      'Bearer alph',
      'Bearer alpha beta',
    ]) {
      const response = await ask(url, authorization);
      expect(response.statusCode).toBe(401);
      expect(response.headers['www-authenticate']).toBe('Bearer');
      expect(response.json().error).toMatchObject({ code: 'unauthorized', type: 'authentication_error' });
      expect(response.body).not.toMatch(/alph|gamma/);
    }
    for (const authorization of ['Bearer alpha', 'bearer beta']) {
      expect((await ask(url, authorization)).statusCode).not.toBe(401);
    }
  });

  it.each(guarded)('%s takes it as X-API-Key', async (url) => {
    const statusOf = async (headers: Record<string, string>) => {
      const body = isRead(url) ? {} : { payload: { prompt: 'a', tokens: [5] } };
      const response = await server.app.inject({
        method: isRead(url) ? 'GET' : 'POST',
        url,
        ...body,
        headers,
      });
      expect(response.body).not.toMatch(/alpha|beta|gamma/);
      return response.statusCode;
    };
    for (const headers of [
      { 'x-api-key': 'alpha' },
      { 'x-api-key': ' alpha ', authorization: 'Bearer alpha' },
      // A proxy's own password leaves the key alone.
      { 'x-api-key': 'alpha', authorization: 'Basic YTpi' },
    ])
      expect(await statusOf(headers)).not.toBe(401);
    for (const headers of [
      { 'x-api-key': '' },
      { 'x-api-key': 'gamma' },
      { 'x-api-key': 'Bearer alpha' },
      { 'x-api-key': 'alpha, beta' },
    ])
      expect(await statusOf(headers), JSON.stringify(headers)).toBe(401);
  });

  it('is refused when the two headers hold different keys, even if both are known', async () => {
    for (const key of ['beta', 'gamma']) {
      const headers = { authorization: 'Bearer alpha', 'x-api-key': key };
      const response = await server.app.inject({ url: '/v1/models', headers });
      expect(response.statusCode).toBe(401);
      expect(response.json().error.message).toBe(
        'The headers Authorization and X-API-Key hold different keys; send one of them.',
      );
    }
  });

  it.each(['/health', '/health/live', '/health/ready', '/metrics', '/version', '/openapi.json', '/docs'])(
    '%s is open',
    async (url) => {
      expect((await server.app.inject(url)).statusCode).toBe(200);
    },
  );

  it('is told before the body is looked at', async () => {
    const response = await server.app.inject({
      method: 'POST',
      url: '/v1/completions',
      payload: { nonsense: 1 },
    });
    expect(response.statusCode).toBe(401);
  });

  it('never logs a key', async () => {
    await ask('/v1/completions', 'Bearer alpha');
    await ask('/v1/completions', 'Bearer gamma');
    for (const key of ['alpha', 'gamma'])
      await server.app.inject({ url: '/v1/models', headers: { 'x-api-key': key } });
    expect(JSON.stringify(server.log)).not.toMatch(/alpha|gamma/);
  });
});

describe('wrong keys from one address', () => {
  const keyed = () => {
    const { app, clock } = fakeServer({ config: { apiKeys: new ApiKeys('alpha,beta') } });
    const statusOf = async (key: string | null, remoteAddress = '192.0.2.1') => {
      const headers = key === null ? {} : { authorization: `Bearer ${key}` };
      const response = await app.inject({ url: '/v1/models', headers, remoteAddress });
      if (response.statusCode === 429) expect(Number(response.headers['retry-after'])).toBe(3);
      return response.statusCode;
    };
    const statuses = async (count: number, key: string | null, address?: string) => {
      const found: number[] = [];
      for (let i = 0; i < count; i++) found.push(await statusOf(key, address));
      return found;
    };
    return { clock, statusOf, statuses };
  };

  it.each(['wrong', null])('are refused with 429 from the 21st of a minute on: %j', async (key) => {
    const { clock, statuses } = keyed();
    expect(await statuses(21, key)).toEqual([...Array(20).fill(401), 429]);
    clock.now += 3000;
    expect(await statuses(2, key)).toEqual([401, 429]);
  });

  it('keep a right guess from being told, and those who use their key there already go on', async () => {
    const { clock, statusOf, statuses } = keyed();
    expect(await statusOf('alpha')).toBe(200);
    await statuses(20, 'wrong');
    expect([await statusOf('beta'), await statusOf('alpha')]).toEqual([429, 200]);
    clock.now += 3000;
    expect([await statusOf('beta'), await statusOf('beta')]).toEqual([200, 200]);
  });

  it('are no other address’s, of IPv6 no other network’s', async () => {
    const { statusOf, statuses } = keyed();
    await statuses(20, 'wrong');
    expect(await statusOf('alpha', '192.0.2.2')).toBe(200);
    await statuses(20, 'wrong', '2001:db8:1:2::1');
    expect(await statusOf('alpha', '2001:db8:1:2:3::4')).toBe(429);
    expect(await statusOf('alpha', '2001:db8:1:3::1')).toBe(200);
  });

  it('take a bounded memory, however many addresses they come from', async () => {
    const { statusOf, statuses } = keyed();
    await statuses(20, 'wrong');
    for (let i = 0; i < 10_000; i++) await statusOf('wrong', `2001:db8:${i.toString(16)}::`);
    expect(await statusOf('wrong'), 'forgotten').toBe(401);
  }, 60_000);
});
