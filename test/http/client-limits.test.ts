import { describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { parseRateLimit } from '../../src/config/rate-limit.ts';
import type { OtlpSpan } from '../../src/observability/otlp-span.ts';
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
      'The request needs 4 sequences; a client may have at most 3 at a time.',
    );
  });
});

describe('behind proxies', () => {
  const addressSeen = async (trustedProxies: string[] | false, remoteAddress: string, forwarded?: string) => {
    const { app, log } = fakeServer({ config: { trustedProxies } });
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    await app.inject({ url: '/v1/models', remoteAddress, headers });
    return log.find(({ msg }) => msg === 'request')?.address;
  };

  it('a client has the address that the trusted ones report', async () => {
    const trusted = ['10.0.0.0/8', 'fd00::1'];
    expect(await addressSeen(trusted, '10.1.2.3', '192.0.2.7')).toBe('192.0.2.7');
    expect(await addressSeen(trusted, '10.1.2.3', '198.51.100.1, 192.0.2.7, 10.9.9.9')).toBe('192.0.2.7');
    expect(await addressSeen(trusted, '::ffff:10.1.2.3', '2001:db8::7')).toBe('2001:db8::7');
    expect(await addressSeen(trusted, 'fd00::1', '192.0.2.7')).toBe('192.0.2.7');
    expect(await addressSeen(trusted, '10.1.2.3')).toBe('10.1.2.3');
  });

  it('nobody else is believed', async () => {
    expect(await addressSeen(false, '10.1.2.3', '192.0.2.7')).toBe('10.1.2.3');
    expect(await addressSeen(['10.0.0.1'], '10.0.0.2', '192.0.2.7')).toBe('10.0.0.2');
    expect(await addressSeen(['fd00::1'], 'fd00::2', '192.0.2.7')).toBe('fd00::2');
  });

  it.each(['unknown', '_hidden', '<b>', '192.0.2.7:1234', ''])(
    'what is no address is not passed on: %j',
    async (text) => {
      expect(await addressSeen(['10.0.0.1'], '10.0.0.1', text)).toBe('10.0.0.1');
    },
  );

  it('a client cannot choose its limits by the header', async () => {
    const limit = parseRateLimit('test', '1/minute');
    const { app } = fakeServer({ config: { rateLimit: limit, trustedProxies: ['10.0.0.1'] } });
    const statusOf = async (forwarded: string) => {
      const headers = { 'x-forwarded-for': forwarded };
      return (await app.inject({ url: '/v1/models', remoteAddress: '10.0.0.1', headers })).statusCode;
    };
    expect(await statusOf('1.1.1.1, 192.0.2.7')).toBe(200);
    expect(await statusOf('2.2.2.2, 192.0.2.7')).toBe(429);
    expect(await statusOf('192.0.2.8')).toBe(200);
  });
});

describe('a client', () => {
  it('is named to the engine, which shares slots out fairly', async () => {
    const keyed = serverWith('9/second', 'alpha');
    await post(keyed, {}, 'alpha');
    expect(keyed.engine.submitted[0]!.client).toBe('key-1');
    const open = fakeServer();
    await post(open);
    expect(open.engine.submitted[0]!.client).toBe('address 1.2.3.4');
  });

  it('is named by its key in the log, in spans and in metrics', async () => {
    const spans: OtlpSpan[] = [];
    const traces = { add: (added: readonly OtlpSpan[]) => spans.push(...added) };
    const server = fakeServer({ config: { apiKeys: new ApiKeys('alpha') }, traces });
    await post(server, {}, 'alpha');
    await post(server, { n: 0 }, 'alpha');
    await post(server, {}, 'wrong');
    const lines = server.log.filter(({ msg }) => msg === 'request');
    expect(lines.map(({ client, address, status }) => [client, address, status])).toEqual([
      ['key-1', '1.2.3.4', 200],
      ['key-1', '1.2.3.4', 400],
      [undefined, '1.2.3.4', 401],
    ]);
    expect(spans[0]!.attributes).toContainEqual({
      key: 'altup.client.name',
      value: { stringValue: 'key-1' },
    });
    expect(spans[0]!.attributes).toContainEqual({ key: 'client.address', value: { stringValue: '1.2.3.4' } });
    const { text } = await server.metrics.render();
    expect(text.match(/^altup_client_requests_total.*/gm)).toEqual([
      'altup_client_requests_total{client="key-1",status="200"} 1',
      'altup_client_requests_total{client="key-1",status="400"} 1',
    ]);
  });

  it.each([
    ['alpha', -1, 400],
    ['alpha', -(2 ** 31), 400],
    ['alpha', 0, 200],
    ['alpha', 5, 200],
    ['beta', -1, 200],
  ])('%s may ask for priority %i: %i', async (key, priority, status) => {
    const config = { apiKeys: new ApiKeys('alpha,beta'), urgentKeys: new Set(['key-2']) };
    const server = fakeServer({ config });
    const answer = await post(server, { priority }, key);
    expect(answer.statusCode).toBe(status);
    if (status === 400) expect(answer.json().error.param).toBe('priority');
    else expect(server.engine.submitted[0]!.priority).toBe(priority);
  });

  it('without a key may be urgent only where everybody may', async () => {
    expect((await post(fakeServer(), { priority: -1 })).statusCode).toBe(400);
    const open = fakeServer({ config: { urgentKeys: new Set(['*']) } });
    expect((await post(open, { priority: -1 })).statusCode).toBe(200);
  });
});
