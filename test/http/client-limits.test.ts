import { describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { parseRateLimit } from '../../src/config/rate-limit.ts';
import { fakeServer } from '../support/fake-server.ts';

const serverWith = (limit: string, keys?: string) =>
  fakeServer({ config: { rateLimit: parseRateLimit('test', limit), apiKeys: new ApiKeys(keys) } });

const post = (
  server: ReturnType<typeof serverWith>,
  payload: object = {},
  key = '',
  remoteAddress = '1.2.3.4',
) =>
  server.app.inject({
    method: 'POST',
    url: '/v1/completions',
    payload: { prompt: 'a', ...payload },
    headers: key === '' ? {} : { authorization: `Bearer ${key}` },
    remoteAddress,
  });

describe('the rate of requests', () => {
  it('is held by key, with the time to wait', async () => {
    const server = serverWith('2/minute', 'alpha,beta');
    const statuses = async (key: string, count: number) => {
      const answers = [];
      for (let i = 0; i < count; i++) answers.push(await post(server, {}, key));
      return answers;
    };
    const answers = await statuses('alpha', 3);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 429]);
    expect(answers.map(({ headers }) => headers['x-ratelimit-remaining-requests'])).toEqual([
      '1',
      '0',
      undefined,
    ]);
    expect(answers[0]!.headers['x-ratelimit-limit-requests']).toBe('2');
    expect(answers[2]!.headers['retry-after']).toBe('30');
    expect(answers[2]!.json().error).toMatchObject({
      code: 'rate_limited',
      type: 'rate_limit_error',
      param: null,
    });
    expect((await statuses('beta', 1))[0]!.statusCode).toBe(200);
    server.clock.now += 29_999;
    expect((await statuses('alpha', 1))[0]!.headers['retry-after']).toBe('1');
    server.clock.now += 1;
    expect((await statuses('alpha', 2)).map(({ statusCode }) => statusCode)).toEqual([200, 429]);
    server.clock.now += 3_600_000;
    expect((await statuses('alpha', 3)).map(({ statusCode }) => statusCode)).toEqual([200, 200, 429]);
    const { text } = await server.metrics.render();
    expect(text).toContain('altup_requests_rejected_total{model="",reason="rate_limited"} 4');
    expect(JSON.stringify(server.log)).not.toMatch(/alpha|beta/);
  });

  it('is held by address where there are no keys, of IPv6 by network', async () => {
    const server = serverWith('1/minute');
    const statusFrom = async (address: string) => (await post(server, {}, '', address)).statusCode;
    expect(await statusFrom('1.2.3.4')).toBe(200);
    expect(await statusFrom('::ffff:1.2.3.4')).toBe(429);
    expect(await statusFrom('1.2.3.5')).toBe(200);
    expect(await statusFrom('2001:db8:1:2:3:4:5:6')).toBe(200);
    expect(await statusFrom('2001:db8:1:2::9')).toBe(429);
    expect(await statusFrom('2001:db8:1:3::9')).toBe(200);
    expect(await statusFrom('2001:db8::1')).toBe(200);
    expect(await statusFrom('2001:db8::2')).toBe(429);
    expect(await statusFrom('::1')).toBe(200);
  });

  it('counts what is refused later too, but not probes', async () => {
    const server = serverWith('1/minute');
    expect((await post(server, { n: 0 })).statusCode).toBe(400);
    expect((await post(server)).statusCode).toBe(429);
    for (let i = 0; i < 3; i++) expect((await server.app.inject('/health')).statusCode).toBe(200);
  });
});

describe('sequences at a time', () => {
  it('are held by client until each request has its answer', async () => {
    const server = serverWith('3 concurrent', 'alpha,beta');
    const { script } = server.engine;
    server.engine.script = () => [];
    const running = post(server, { n: 2 }, 'alpha');
    const [first, second] = await server.engine.submission();
    const refused = await post(server, { n: 2 }, 'alpha');
    expect(refused.statusCode).toBe(429);
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.json().error.code).toBe('rate_limited');
    server.engine.script = script;
    expect((await post(server, { n: 1 }, 'alpha')).statusCode).toBe(200);
    expect((await post(server, { n: 3 }, 'beta')).statusCode).toBe(200);
    for (const request of [first!, second!]) for (const event of script(request)) server.engine.emit(event);
    expect((await running).statusCode).toBe(200);
    expect((await post(server, { n: 3, stream: true }, 'alpha')).statusCode).toBe(200);
    expect((await post(server, { n: 3 }, 'alpha')).statusCode).toBe(200);
  });

  it('that are too many for one client ever are a 400', async () => {
    const response = await post(serverWith('3 concurrent'), { n: 4 });
    expect(response.statusCode).toBe(400);
    expect(response.json().error.message).toBe(
      'The request makes 4 sequences; a client may have 3 at a time.',
    );
  });
});

describe('a client', () => {
  it('is named to the engine, which shares slots out fairly', async () => {
    const keyed = serverWith('9/second', 'alpha');
    await post(keyed, {}, 'alpha');
    expect(keyed.engine.submitted[0]!.client).toMatch(/^key [0-9a-f]{16}$/);
    const open = fakeServer();
    await post(open);
    expect(open.engine.submitted[0]!.client).toBe('address 1.2.3.4');
  });
});
