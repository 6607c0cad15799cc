import { cp, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { processMemory } from '../support/process-usage.ts';
import { askAtRandom, modelStates } from '../support/random-requests.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { readStream } from '../support/stream-completion.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const mebibyte = 2 ** 20;
const shipped = join(import.meta.dirname, '../../models');
const [dense, altup, recycled] = ['austen-t5-dense', 'austen-t5-altup-k2', 'austen-t5-recycled-k2'];

async function serve(settings: Record<string, string>) {
  const service = await ServiceProcess.start({ ALTUP_SLOTS: '4', ...settings });
  onTestFinished(async () => void (await service.stop()));
  const complete = (model: string, body: object = {}) =>
    service.post('/v1/completions', { model, prompt: 'Emma', max_tokens: 4, ...body });
  const readiness = async () => (await fetch(`${service.url}/health/ready`)).status;
  return { service, complete, readiness };
}

const pathsOf = (...names: string[]) => names.map((name) => join(shipped, name)).join();

describe('13 models of which four fit', () => {
  it('answer all requests, and stay within the limits', async () => {
    const limit = 420 * mebibyte;
    const { service, readiness } = await serve({
      ALTUP_MAX_LOADED_MODELS: '4',
      ALTUP_MEMORY_LIMIT: String(limit),
    });
    const states = await modelStates(service);
    const names = Object.keys(states);
    expect(names).toHaveLength(13);
    expect(Object.values(states).map((state) => state === 'ready')).toEqual(names.map((_, i) => i < 4));
    const { lost, answeredMs, loaded, resident } = await askAtRandom(service, names, {
      count: 60,
      clients: 6,
      seed: 1,
    });
    expect(lost).toEqual([]);
    expect(answeredMs).toHaveLength(60);
    expect(loaded).toBe(4);
    expect(resident).toBeLessThan(limit);
    expect(await readiness()).toBe(200);
    const metrics = await service.metrics();
    const loads = metrics.sum('altup_model_loads_total{', 'outcome="loaded"');
    expect(loads).toBeGreaterThan(13);
    expect(metrics.sum('altup_model_unloads_total{', 'reason="room"')).toBe(loads - 4);
    expect(metrics.sum('altup_model_state{', 'state="ready"')).toBe(4);
    expect(metrics.sum('altup_model_info{')).toBe(4);
    expect(metrics.sum('altup_model_load_waiting{')).toBe(0);
  });
});

describe('a model that is asked for', () => {
  it('waits for the stream of the one that has to leave', async () => {
    const { service, complete } = await serve({
      ALTUP_MODELS: pathsOf(dense!, altup!),
      ALTUP_MAX_LOADED_MODELS: '1',
    });
    let second: Promise<Response> | undefined;
    const long = { max_tokens: 400, ignore_eos: true, stream: true };
    const streamed = await readStream(await complete(dense!, long), async () => {
      second ??= complete(altup!);
    });
    expect(streamed.error).toBeNull();
    expect(streamed.choices[0]?.finish_reason).toBe('length');
    expect((await second)?.status).toBe(200);
    expect(await modelStates(service)).toEqual({ [dense!]: 'unloaded', [altup!]: 'ready' });
  });

  it('is loaded though nobody waits, if requests may not', async () => {
    const { service, complete } = await serve({
      ALTUP_MODELS: pathsOf(dense!, altup!),
      ALTUP_MAX_LOADED_MODELS: '1',
      ALTUP_LOAD_WAIT_MS: '0',
    });
    const refused = await complete(altup!);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await refused.json()).toMatchObject({ error: { code: 'not_ready' } });
    await expect.poll(() => modelStates(service), { timeout: 10_000 }).toMatchObject({ [altup!]: 'ready' });
    expect((await complete(altup!)).status).toBe(200);
  });

  it('may be a precision of another one', async () => {
    const { service, complete } = await serve({
      ALTUP_MODELS: pathsOf('austen-gemma3'),
      ALTUP_PRECISION: 'fp32,int8',
      ALTUP_MAX_LOADED_MODELS: '1',
    });
    expect((await complete('austen-gemma3:int8')).status).toBe(200);
    expect(await modelStates(service)).toEqual({
      'austen-gemma3': 'unloaded',
      'austen-gemma3:int8': 'ready',
    });
    expect((await complete('austen-gemma3:fp32')).status).toBe(200);
    expect(await modelStates(service)).toEqual({
      'austen-gemma3': 'ready',
      'austen-gemma3:int8': 'unloaded',
    });
  });

  it('fails alone', async () => {
    const models = await temporaryFolder();
    await cp(join(shipped, dense!), join(models, 'good'), { recursive: true });
    await cp(join(shipped, altup!), join(models, 'late'), { recursive: true });
    const { service, complete, readiness } = await serve({
      ALTUP_MODELS: models,
      ALTUP_MAX_LOADED_MODELS: '1',
    });
    await rename(join(models, 'late/onnx'), join(models, 'late/gone'));
    const refused = await complete('late');
    expect(refused.status).toBe(503);
    expect(await modelStates(service)).toEqual({ good: 'unloaded', late: 'failed' });
    expect((await complete('good')).status).toBe(200);
    expect(await readiness()).toBe(200);
  });
});

describe('administrators', () => {
  it('load and unload models, and have new folders served', async () => {
    const models = await temporaryFolder();
    const keys = join(models, '..', `${Date.now()}-keys`);
    await writeFile(keys, 'secret operator\nother user\n');
    await cp(join(shipped, dense!), join(models, 'first'), { recursive: true });
    const { service, readiness } = await serve({
      ALTUP_MODELS: models,
      ALTUP_API_KEYS_FILE: keys,
      ALTUP_ADMIN_KEYS: 'operator',
    });
    const admin = async (path: string, key = 'secret') => {
      const headers = { authorization: `Bearer ${key}` };
      const response = await fetch(`${service.url}/admin/models/${path}`, { method: 'POST', headers });
      return [response.status, await response.json()];
    };
    expect(await admin('first/unload', 'other')).toMatchObject([403, { error: { code: 'forbidden' } }]);
    expect(await admin('first/unload')).toMatchObject([200, { state: 'unloaded' }]);
    expect(await readiness()).toBe(503);
    expect(await admin('first/load')).toMatchObject([200, { state: 'ready' }]);
    expect(await readiness()).toBe(200);

    const staging = await temporaryFolder();
    await cp(join(shipped, recycled!), join(staging, 'second'), { recursive: true });
    await mkdir(join(models, 'second'));
    await rename(join(staging, 'second'), join(models, 'second'));
    expect(await admin('reload')).toEqual([
      200,
      { added: ['second'], removed: [], retried: [], problem: null },
    ]);
    await service.logged('models read again');
    await expect
      .poll(() => admin('second/load'), { timeout: 10_000 })
      .toMatchObject([200, { state: 'ready' }]);
  });
});

describe('a limit of memory', () => {
  it('refuses a model that could never fit, with the figures', async () => {
    const { code, output } = await ServiceProcess.refused({
      ALTUP_MODELS: pathsOf(dense!),
      ALTUP_MEMORY_LIMIT: '500MiB',
      ALTUP_SLOTS: '1024',
    });
    expect(code).toBe(1);
    expect(output).toMatch(
      /needs \d\.\d+ GiB of memory, 0\.\d\d GiB for its weights and \d\.\d+ GiB for its cache; ALTUP_MEMORY_LIMIT leaves 0\.\d\d GiB for models/,
    );
  });

  it('is kept: unloading gives the memory back', async () => {
    const { service, complete } = await serve({
      ALTUP_MODELS: pathsOf('austen-t5-altup-k4', 'austen-t5-dense2x', 'austen-t5-altup-moe'),
      ALTUP_MAX_LOADED_MODELS: '1',
    });
    const names = Object.keys(await modelStates(service));
    const after: number[] = [];
    for (let round = 0; round < 12; round += 1) {
      for (const name of names) expect((await complete(name)).status).toBe(200);
      after.push(processMemory(service.pid).resident / mebibyte);
    }
    expect(after.at(-1)! - after[3]!).toBeLessThan(20);
  });
});
