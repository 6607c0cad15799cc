import { describe, expect, it } from 'vitest';
import { fakeServer } from '../support/fake-server.ts';

const lines = (log: Record<string, unknown>[]) => log.filter(({ msg }) => msg === 'request');

describe('the access log', () => {
  it.each([false, true])('has one line per request, stream: %s', async (stream) => {
    const { app, clock, engine, log } = fakeServer();
    const script = engine.script;
    engine.script = (request) => {
      clock.now += 250.1239;
      return script(request);
    };
    const headers = { 'x-request-id': 'r-1', authorization: 'Bearer sesame' };
    const payload = { prompt: 'tell nobody', stream, n: 1 };
    const response = await app.inject({ method: 'POST', url: '/v1/completions', payload, headers });
    const id = /cmpl-[0-9a-f]+/.exec(response.body)![0];
    expect(lines(log)).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        requestId: 'r-1',
        method: 'POST',
        route: '/v1/completions',
        status: 200,
        address: '127.0.0.1',
        durationMs: 250.124,
        model: 'tiny',
        completionId: id,
        promptTokens: 12,
        generatedTokens: 2,
        queueMs: 1,
        prefillMs: 2,
        decodeMs: 1,
        networkMs: 246.124,
        firstTokenMs: 3,
        msg: 'request',
      },
    ]);
    expect(JSON.stringify(log)).not.toMatch(/tell|sesame/);
  });

  it('says what a refusal was', async () => {
    const { app, log } = fakeServer();
    await app.inject({ method: 'POST', url: '/v1/completions', payload: { prompt: 'a', n: 0 } });
    expect(lines(log)).toMatchObject([{ level: 'info', status: 400, errorCode: 'invalid_request' }]);
  });

  it('keeps probes and scrapes to debug while all is well', async () => {
    const { app, drain, log } = fakeServer();
    await app.inject('/health/live');
    await app.inject('/metrics');
    drain();
    await app.inject('/health/ready');
    expect(lines(log).map(({ level, route }) => [level, route])).toEqual([
      ['debug', '/health/live'],
      ['debug', '/metrics'],
      ['info', '/health/ready'],
    ]);
  });
});

describe('X-Request-Id', () => {
  const idFor = async (given: string | undefined, url = '/version') => {
    const headers = given === undefined ? {} : { 'x-request-id': given };
    return (await fakeServer().app.inject({ url, headers })).headers['x-request-id'];
  };

  it('is kept, on errors too', async () => {
    expect(await idFor('Trace/1:a_b-c.d')).toBe('Trace/1:a_b-c.d');
    expect(await idFor('x'.repeat(128))).toBe('x'.repeat(128));
    expect(await idFor('mine', '/nowhere')).toBe('mine');
  });

  it.each([undefined, '', 'a b', 'a"b', 'é', 'x'.repeat(129)])('is made where it is %j', async (given) => {
    expect(await idFor(given)).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  });
});
