import { describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { fakeServer } from '../support/fake-server.ts';

const server = fakeServer({ config: { apiKeys: new ApiKeys('alpha,beta') } });
const ask = (url: string, authorization?: string) =>
  server.app.inject({
    method: url.startsWith('/v1/models') ? 'GET' : 'POST',
    url,
    ...(url.startsWith('/v1/models') ? {} : { payload: { prompt: 'a', tokens: [5] } }),
    headers: authorization === undefined ? {} : { authorization },
  });

const guarded = [
  '/v1/completions',
  '/v1/chat/completions',
  '/v1/models',
  '/v1/models/tiny',
  '/tokenize',
  '/detokenize',
];

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
    expect(JSON.stringify(server.log)).not.toMatch(/alpha|gamma/);
  });
});
