import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream } from '../support/stream-completion.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const shipped = join(import.meta.dirname, '../../models');
const dense = join(shipped, 'austen-t5-dense');
const altup = join(shipped, 'austen-t5-altup-k2');
const long = { prompt: 'Emma', max_tokens: 400, ignore_eos: true, temperature: 0 };

/** Copies a model with its export, so that it appears in the folder all at once. */
async function put(from: string, models: string, id: string): Promise<void> {
  const staging = await temporaryFolder();
  await cp(from, join(staging, id), { recursive: true });
  await rename(join(staging, id), join(models, id)).catch(() =>
    cp(join(staging, id), join(models, id), { recursive: true }),
  );
}

async function serve(settings: Record<string, string> = {}) {
  const models = await temporaryFolder();
  await put(dense, models, 'first');
  const service = await ServiceProcess.start({ ALTUP_MODELS: models, ALTUP_SLOTS: '2', ...settings });
  onTestFinished(async () => void (await service.stop()));
  const reload = async () => {
    service.forgetLog();
    service.signal('SIGHUP');
    return service.logged('models read again');
  };
  const complete = (model: string, body: object = { prompt: 'x', max_tokens: 1 }) =>
    service.post('/v1/completions', { model, ...body });
  const states = async () => {
    const response = await fetch(`${service.url}/health/ready`);
    const { models } = (await response.json()) as { models: { id: string; state: string }[] };
    return [response.status, ...models.map(({ id, state }) => `${id} ${state}`)];
  };
  return { models, service, reload, complete, states };
}

describe('SIGHUP', () => {
  it('serves a folder that was added, and drains one that was removed', async () => {
    const { models, service, reload, complete, states } = await serve();
    await put(altup, models, 'second');
    expect(await reload()).toMatchObject({ added: ['second'], removed: [], retried: [] });
    await service.logged('model ready');
    expect(await states()).toEqual([200, 'first ready', 'second ready']);
    expect((await complete('second')).status).toBe(200);

    let hasBegun = false;
    const streamed = await readStream(await complete('first', { ...long, stream: true }), async () => {
      if (hasBegun) return;
      hasBegun = true;
      await rm(join(models, 'first'), { recursive: true });
      service.signal('SIGHUP');
    });
    expect(streamed.error).toBeNull();
    expect(streamed.choices[0]?.finish_reason).toBe('length');
    expect(await service.logged('model removed')).toMatchObject({ model: 'first' });
    expect((await complete('first')).status).toBe(404);
    expect(await states()).toEqual([200, 'second ready']);
    expect((await complete('second')).status).toBe(200);
    const metrics = await service.metrics();
    expect(metrics.sum('altup_model_info{')).toBe(1);
    expect(metrics.sum('altup_model_state{', 'model="first"')).toBe(0);
  });

  it('refuses a removed model at once, while its stream goes on, and ends that at the drain deadline', async () => {
    const { models, service, complete } = await serve({
      ALTUP_DRAIN_TIMEOUT_MS: '300',
      ALTUP_CONTEXT: '100000',
    });
    await put(altup, models, 'second');
    let hasBegun = false;
    let refused: Promise<Response> | undefined;
    const endless = { prompt: Array(30).fill('Emma'), max_tokens: 500, ignore_eos: true, stream: true };
    const streamed = await readStream(await complete('first', endless), async () => {
      if (hasBegun) return;
      hasBegun = true;
      await rm(join(models, 'first'), { recursive: true });
      service.signal('SIGHUP');
      refused = service.logged('models read again').then(() => complete('first'));
    });
    expect(streamed.error?.code).toBe('not_ready');
    expect((await refused)?.status).toBe(404);
    await service.logged('model removed');
    await expect.poll(() => complete('second').then(({ status }) => status), { timeout: 10_000 }).toBe(200);
  });

  it('changes nothing where the folders are wrong, and tries again what failed', async () => {
    const { models, service, reload, complete, states } = await serve({ ALTUP_STRICT: 'true' });
    await mkdir(join(models, 'broken'));
    await writeFile(join(models, 'broken/config.json'), '{"model_type": "mamba"}');
    expect(await reload()).toMatchObject({ added: ['broken'] });
    await service.logged('model failed');
    expect(await states()).toEqual([200, 'first ready', 'broken failed']);
    expect((await complete('first')).status).toBe(200);
    expect(await service.metric('altup_model_state{model="broken",state="failed"}')).toBe(1);

    await rm(join(models, 'broken'), { recursive: true });
    await put(altup, models, 'broken');
    expect(await reload()).toMatchObject({ added: [], removed: [], retried: ['broken'] });
    await service.logged('model ready');
    expect((await complete('broken')).status).toBe(200);

    await rename(models, `${models}-away`);
    service.forgetLog();
    service.signal('SIGHUP');
    expect(await service.logged('models stay as they were')).toMatchObject({ level: 'error' });
    expect(await states()).toEqual([200, 'first ready', 'broken ready']);
    await rename(`${models}-away`, models);
  });

  it('reads the keys file at once', async () => {
    const file = join(await temporaryFolder(), 'keys');
    await writeFile(file, 'old\n');
    const { service } = await serve({ ALTUP_API_KEYS_FILE: file });
    const statusOf = async (key: string) =>
      (await fetch(`${service.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
    await writeFile(file, 'new\n');
    service.signal('SIGHUP');
    await service.logged('API keys read again');
    expect([await statusOf('old'), await statusOf('new')]).toEqual([401, 200]);
    await writeFile(file, '');
    service.signal('SIGHUP');
    await service.logged('API keys stay as they were');
    expect(await statusOf('new')).toBe(200);
  });

  it('is taken ten times in a row, and while the service stops', async () => {
    const { models, service, complete } = await serve();
    await put(altup, models, 'second');
    service.forgetLog();
    for (let count = 0; count < 10; count++) service.signal('SIGHUP');
    await service.logged('model ready');
    expect((await complete('second')).status).toBe(200);
    service.signal('SIGHUP');
    service.signal('SIGTERM');
    service.signal('SIGHUP');
    expect(await service.exited).toBe(0);
  });
});
