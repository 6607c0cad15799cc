import { describe, expect, it } from 'vitest';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { fakeRuntime } from '../support/fake-session.ts';

describe.each(['/health', '/health/ready'])('%s', (url) => {
  const good = () => fakeModel('good');
  const broken = () => fakeModel('broken', { state: 'failed', message: 'no such file' });
  const late = () => fakeModel('late', { state: 'loading' });
  const out = (state: 'unloaded' | 'unloading' = 'unloaded') => ({
    ...fakeModel('out', { state }),
    isRequired: false,
  });
  const restarting = () => fakeModel('restarting', { state: 'restarting', retryAfterSeconds: 3 });

  it('is ready when every model is ready or has failed, and tells of each', async () => {
    const response = await fakeServer({ models: [good(), broken()] }).app.inject(url);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      status: 'ready',
      models: [
        { id: 'good', state: 'ready', message: null },
        { id: 'broken', state: 'failed', message: 'no such file' },
      ],
      load: { waiting: 2, running: 1 },
    });
  });

  it.each([
    ['one of its models loads', [good(), late()], false, 503],
    ['one of its models is being restarted', [good(), restarting()], false, 503],
    ['every model has failed', [broken()], false, 503],
    ['a model has failed and the list is strict', [good(), broken()], true, 503],
    ['every model of a strict list is ready', [good(), fakeModel('better')], true, 200],
    ['a model that a reload added loads', [good(), { ...late(), isRequired: false }], true, 200],
    ['a model that a reload added failed', [good(), { ...broken(), isRequired: false }], true, 200],
    ['a model has been unloaded', [good(), out()], true, 200],
    [
      'a model that was there at start is about to leave',
      [good(), fakeModel('out', { state: 'unloading' })],
      true,
      200,
    ],
    ['no model is loaded, nor comes on demand', [out()], false, 503],
  ])('where %s', async (_, models, strict, expected) => {
    const response = await fakeServer({ models, config: { strict } }).app.inject(url);
    expect(response.statusCode).toBe(expected);
    expect(response.headers['retry-after']).toBe(expected === 200 ? undefined : '1');
  });

  it.each([
    ['every model is unloaded', [out(), out()], 200],
    ['models change places', [out('unloading'), { ...late(), isRequired: false }], 200],
    ['one is still loaded at start', [late(), out()], 503],
    ['every model has failed', [broken()], 503],
  ])('with models on demand where %s', async (_, models, expected) => {
    const { app } = fakeServer({ models, config: { loadsOnDemand: true } });
    expect((await app.inject(url)).statusCode).toBe(expected);
  });

  it('is not while none is, and becomes so', async () => {
    const model = fakeModel('late', { state: 'loading' });
    const { app } = fakeServer({ models: [model] });
    const loading = await app.inject(url);
    expect(loading.statusCode).toBe(503);
    expect(loading.headers['retry-after']).toBe('1');
    expect(loading.json()).toMatchObject({ status: 'not_ready', models: [{ state: 'loading' }] });
    model.state = {
      state: 'ready',
      slots: 1,
      capacity: 8,
      encoderCapacity: 8,
      encoderWidth: 4,
      cacheBudget: 0,
      isCacheLimit: false,
      runtime: fakeRuntime,
    };
    expect((await app.inject(url)).statusCode).toBe(200);
  });

  it('is not while the service drains, which still lives', async () => {
    const { app, drain } = fakeServer();
    drain();
    const draining = await app.inject(url);
    expect(draining.statusCode).toBe(503);
    expect(draining.headers['retry-after']).toBe('1');
    expect(draining.json()).toMatchObject({ status: 'draining', models: [{ state: 'ready' }] });
    expect((await app.inject('/health/live')).json()).toEqual({ status: 'live' });
  });
});

it('/version', async () => {
  expect((await fakeServer().app.inject('/version')).json()).toEqual({ version: '1.2.3' });
});

describe('/metrics', () => {
  it('counts answers by model, route and status', async () => {
    const { app } = fakeServer();
    const complete = (payload: object) => app.inject({ method: 'POST', url: '/v1/completions', payload });
    await complete({ prompt: 'a' });
    await complete({ prompt: 'a', stream: true });
    await complete({ prompt: 'a', n: 0 });
    await complete({ prompt: 'a', model: 'stranger' });
    await app.inject('/v1/models/a');
    await app.inject('/some/where/else');
    const response = await app.inject('/metrics');
    expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    const counted = response.body.split('\n').filter((line) => line.startsWith('altup_requests_total'));
    expect(counted.sort()).toEqual([
      'altup_requests_total{model="",route="/v1/completions",status="404"} 1',
      'altup_requests_total{model="",route="/v1/models/:id",status="404"} 1',
      'altup_requests_total{model="",route="none",status="404"} 1',
      'altup_requests_total{model="tiny",route="/v1/completions",status="200"} 2',
      'altup_requests_total{model="tiny",route="/v1/completions",status="400"} 1',
    ]);
  });

  it('has the event loop’s delay', async () => {
    const { body } = await fakeServer().app.inject('/metrics');
    for (const name of ['lag_p50_seconds', 'lag_p99_seconds', 'lag_max_seconds']) {
      expect(body).toMatch(new RegExp(`^nodejs_eventloop_${name} `, 'm'));
    }
  });
});

describe('/docs', () => {
  it('loads nothing from elsewhere', async () => {
    const { app } = fakeServer();
    const page = await app.inject('/docs');
    expect(page.statusCode).toBe(200);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toMatch(/https:|upgrade-insecure|swagger\.io/);
    const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!);
    expect(assets.length).toBeGreaterThan(3);
    for (const asset of assets) {
      expect(asset).toMatch(/^\/docs\//);
      expect((await app.inject(asset)).statusCode).toBe(200);
    }
  });
});

describe('what is refused before a handler sees it', () => {
  it.each([
    ['/v1/completions', { model: 'tiny', prompt: 'a', n: 0 }, 'tiny'],
    ['/v1/completions', { model: 'tiny:fp32', prompt: 5 }, 'tiny'],
    ['/v1/chat/completions', { model: 'other', messages: 'a' }, 'other'],
    ['/tokenize', { model: 'other', unknown: 1 }, 'other'],
    ['/detokenize', { model: 'tiny', tokens: 'a' }, 'tiny'],
    ['/v1/completions', { prompt: 5 }, ''],
    ['/v1/completions', { model: 5, prompt: 'a' }, ''],
    ['/v1/completions', { model: 'nobody', prompt: 5 }, ''],
    ['/v1/completions', [1], ''],
  ])('%s with %j is counted and logged under the model %j', async (url, payload, model) => {
    const { app, log, metrics } = fakeServer({ models: [fakeModel('tiny'), fakeModel('other')] });
    expect((await app.inject({ method: 'POST', url, payload })).statusCode).toBe(400);
    const { text } = await metrics.render();
    expect(text).toContain(`altup_requests_total{model="${model}",route="${url}",status="400"} 1`);
    expect(log.at(-1)!.model ?? '').toBe(model);
  });
});
