import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ModelState, ServedModel } from '../../src/catalog/served-model.ts';
import { patienceMs } from '../../src/service/residency.ts';
import { ResidentModels, type ResidentModelsParts } from '../../src/service/resident-models.ts';
import { fakeModel } from '../support/fake-server.ts';
import { fakeRuntime } from '../support/fake-session.ts';
import { modelToLoad, noTokens } from '../support/fake-tokenizer.ts';
import { seededRandom } from '../support/seeded-random.ts';

const mebibyte = 2 ** 20;
const never = new AbortController().signal;
const settle = () => vi.advanceTimersByTimeAsync(0);
const ready: ModelState = {
  state: 'ready',
  slots: 1,
  capacity: 8,
  encoderCapacity: 0,
  encoderWidth: 0,
  cacheBudget: 0,
  isCacheLimit: false,
  runtime: fakeRuntime,
};

/** Models of 10 MiB each in a process of 100 MiB. */
function residentsUnderTest(
  config: Partial<ResidentModelsParts['config']> = { maxLoadedModels: 2 },
  names = ['a', 'b', 'c'],
) {
  const models = new Map<string, ServedModel>();
  const calls: string[] = [];
  const loading = new Map<string, PromiseWithResolvers<void>>();
  const unloading = new Map<string, PromiseWithResolvers<void>>();
  const waiting = new Map<string, number>();
  const rejected: string[] = [];
  const process = { bytes: 100 * mebibyte };
  const changeState = (name: string, state: ModelState) => {
    const model = models.get(name);
    if (model) model.state = state;
  };
  const residents = new ResidentModels({
    config: {
      memoryLimit: null,
      loadsOnDemand: true,
      loadWaitMs: 5000,
      maxQueuedRequests: 8,
      maxQueuedTokens: 1000,
      clientQueueShare: 50,
      ...config,
    },
    metrics: {
      loadWaiting: (model, change) => void waiting.set(model, (waiting.get(model) ?? 0) + change),
      rejected: (model, reason) => rejected.push(`${model} ${reason}`),
    },
    clock: () => Date.now(),
    residentBytes: () => process.bytes,
    changeState,
    onUnloaded: ({ name }, reason) => calls.push(`${name} is unloaded: ${reason}`),
  });
  residents.serve({
    loadModel: ({ spec }) => {
      calls.push(`load ${spec.name}`);
      const tried = Promise.withResolvers<void>();
      loading.set(spec.name, tried);
      return tried.promise;
    },
    unloadModel: (name) => {
      calls.push(`unload ${name}`);
      const left = Promise.withResolvers<void>();
      unloading.set(name, left);
      return left.promise;
    },
  });
  const add = (name: string, more: Partial<ServedModel> = {}) => {
    const model: ServedModel = {
      ...fakeModel(name, { state: 'loading' }),
      memory: { weights: 10 * mebibyte, cache: 0 },
      ...more,
    };
    models.set(name, model);
    return residents.add(model, modelToLoad(name));
  };
  /** What the engine reports of the load that runs. */
  const report = async (name: string, state: ModelState = ready) => {
    changeState(name, state);
    residents.changed(name, state.state === 'ready' ? 2 : null);
    loading.get(name)?.resolve();
    await settle();
  };
  const left = async (name: string) => {
    unloading.get(name)!.resolve();
    await settle();
  };
  const use = (name: string, client = 'a', signal = never) => {
    const used = residents.use(models.get(name)!, { client, signal });
    used.catch(() => {});
    return used;
  };
  const states = () => [...models.values()].map(({ name, state }) => `${name} ${state.state}`);
  for (const name of names) void add(name);
  return { residents, models, calls, process, waiting, rejected, add, report, left, use, states };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('models without a limit', () => {
  it('are all loaded at start, in order, and requests never wait for them', async () => {
    const { calls, report, use, states } = residentsUnderTest({ loadsOnDemand: false });
    expect(states()).toEqual(['a loading', 'b loading', 'c loading']);
    await expect(use('a')).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 5 });
    for (const name of ['a', 'b', 'c']) await report(name);
    expect(calls).toEqual(['load a', 'load b', 'load c']);
    await use('a');
  });

  it('are loaded again after an administrator has unloaded one and somebody asks for it', async () => {
    const { residents, calls, report, left, use, states } = residentsUnderTest({ loadsOnDemand: false }, [
      'a',
    ]);
    await report('a');
    const unloaded = residents.unload('a');
    await settle();
    await left('a');
    await unloaded;
    expect(states()).toEqual(['a unloaded']);
    await expect(use('a')).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 2 });
    expect(calls).toEqual(['load a', 'unload a', 'a is unloaded: asked', 'load a']);
  });
});

describe('models with a limit', () => {
  it('are loaded at start while they fit', async () => {
    const { calls, add, report, states } = residentsUnderTest();
    await settle();
    expect(states()).toEqual(['a loading', 'b loading', 'c unloaded']);
    await report('a');
    await report('b');
    await add('d');
    expect(states()).toEqual(['a ready', 'b ready', 'c unloaded', 'd unloaded']);
    expect(calls).toEqual(['load a', 'load b']);
  });

  it('may not be asked for before their tokenizer is read', async () => {
    const { residents, models, states } = residentsUnderTest();
    const model: ServedModel = fakeModel('d', { state: 'loading' });
    models.set('d', model);
    const reading = Promise.withResolvers<typeof noTokens>();
    const added = residents.add(model, { ...modelToLoad('d'), vocabulary: reading.promise });
    await settle();
    expect(states().at(-1)).toBe('d loading');
    reading.resolve(noTokens);
    await added;
    expect(states().at(-1)).toBe('d unloaded');
  });

  it('begin with the requests that waited before they make room for others', async () => {
    const { models, report, left, use } = residentsUnderTest({ maxLoadedModels: 1 }, ['a', 'b']);
    await report('a');
    const usedB = use('b');
    await settle();
    await left('a');
    void use('a');
    await vi.advanceTimersByTimeAsync(2 * patienceMs);
    const seen = usedB.then(() => models.get('b')!.state.state);
    await report('b');
    expect(await seen).toBe('ready');
    expect(models.get('b')!.state.state).toBe('unloading');
  });

  it('make room for one that is asked for, whose request waits', async () => {
    const { calls, waiting, report, left, use, states } = residentsUnderTest();
    await report('a');
    await report('b');
    await vi.advanceTimersByTimeAsync(10);
    (await use('a'))();
    const used = [use('c'), use('c')];
    await settle();
    expect(states()).toEqual(['a ready', 'b unloading', 'c unloaded']);
    expect(waiting.get('c')).toBe(2);
    await left('b');
    expect(states()).toEqual(['a ready', 'b unloaded', 'c loading']);
    await report('c');
    await Promise.all(used);
    expect(waiting.get('c')).toBe(0);
    expect(calls.slice(2)).toEqual(['unload b', 'b is unloaded: room', 'load c']);
  });

  it('leave only once their requests have ended, and take no more before', async () => {
    const { calls, report, left, use, states } = residentsUnderTest();
    await report('a');
    await report('b');
    const leave = [await use('a'), await use('b')];
    void use('c');
    await vi.advanceTimersByTimeAsync(patienceMs - 1);
    expect(states()).toEqual(['a ready', 'b ready', 'c unloaded']);
    await vi.advanceTimersByTimeAsync(1);
    expect(states()).toEqual(['a unloading', 'b ready', 'c unloaded']);
    const late = use('a');
    await settle();
    expect(calls).toEqual(['load a', 'load b']);
    leave[0]!();
    leave[0]!();
    await settle();
    expect(calls.at(-1)).toBe('unload a');
    await left('a');
    await report('c');
    leave[1]!();
    await settle();
    await left('b');
    await report('a');
    await late;
  });

  it('refuse with the time of the last load after the wait, while the load goes on', async () => {
    const { calls, rejected, waiting, report, left, use, states } = residentsUnderTest({
      maxLoadedModels: 1,
    });
    await report('a');
    const used = use('b');
    await settle();
    await left('a');
    await vi.advanceTimersByTimeAsync(5000);
    await expect(used).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 5 });
    expect(rejected).toEqual(['b not_ready']);
    expect(waiting.get('b')).toBe(0);
    await report('b');
    expect(states()).toEqual(['a unloaded', 'b ready', 'c unloaded']);
    (await use('b'))();
    expect(calls.at(-1)).toBe('load b');
  });

  it('let no more wait than the queue holds, and no client fill it', async () => {
    const { rejected, report, use } = residentsUnderTest({ maxLoadedModels: 1 });
    await report('a');
    for (let i = 0; i < 4; i += 1) void use('b', 'one');
    await expect(use('c', 'one')).rejects.toMatchObject({ code: 'queue_full', status: 429 });
    for (let i = 0; i < 4; i += 1) void use('c', `client ${i}`);
    await expect(use('c', 'another')).rejects.toMatchObject({ code: 'queue_full' });
    expect(rejected).toEqual(['c queue_full', 'c queue_full']);
  });

  it('forget who has left, and refuse who waits when the service stops', async () => {
    const { residents, waiting, report, use } = residentsUnderTest({ maxLoadedModels: 1 });
    await report('a');
    const controller = new AbortController();
    const [gone, waits] = [use('b', 'a', controller.signal), use('b')];
    controller.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    residents.close();
    await expect(waits).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(use('b')).rejects.toMatchObject({ code: 'shutting_down' });
    expect(waiting.get('b')).toBe(0);
  });

  it('fail alone: who waits for one is refused, and the next one is loaded', async () => {
    const { report, left, use, states } = residentsUnderTest({ maxLoadedModels: 1 });
    await report('a');
    const used = [use('b'), use('c')];
    await settle();
    await left('a');
    await report('b', { state: 'failed', message: 'no memory' });
    await expect(used[0]).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 60 });
    expect(states()).toEqual(['a unloaded', 'b failed', 'c loading']);
    await report('c');
    await used[1];
  });

  it('are removed with those who wait for them, and leave their room to others', async () => {
    const { residents, models, report, left, use, states } = residentsUnderTest({ maxLoadedModels: 1 });
    await report('a');
    const used = use('b');
    models.delete('a');
    const removed = residents.remove('a', 1000);
    await left('a');
    await removed;
    expect(states()).toEqual(['b loading', 'c unloaded']);
    models.delete('b');
    void residents.remove('b', 0);
    await expect(used).rejects.toMatchObject({ code: 'not_ready' });
  });

  it('count in the limit until they have left, and first let requests end that have asked for them', async () => {
    const { residents, models, calls, report, left, use, states } = residentsUnderTest({
      maxLoadedModels: 1,
    });
    await report('a');
    const leave = await use('a');
    void use('b');
    models.delete('a');
    void residents.remove('a', 1000);
    await vi.advanceTimersByTimeAsync(500);
    expect(calls).toEqual(['load a']);
    leave();
    await settle();
    expect(calls).toEqual(['load a', 'unload a']);
    expect(states()).toEqual(['b unloaded', 'c unloaded']);
    await left('a');
    expect(calls).toEqual(['load a', 'unload a', 'load b']);
  });

  it('wait for their requests no longer than they may', async () => {
    const { residents, models, calls, report, use } = residentsUnderTest({ maxLoadedModels: 1 });
    await report('a');
    await use('a');
    models.delete('a');
    void residents.remove('a', 1000);
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls).toEqual(['load a', 'unload a']);
  });

  it('that failed leave the engine to those that take their room, so that a crash does not load both', async () => {
    const { calls, report, use, states } = residentsUnderTest({ maxLoadedModels: 2 });
    await report('a');
    await report('b', { state: 'failed', message: 'no memory' });
    // The engine dies, and a fails when it is loaded again.
    await report('a', { state: 'restarting', retryAfterSeconds: 1 });
    await report('a', { state: 'failed', message: 'no memory' });
    void use('c');
    await settle();
    expect(states()).toEqual(['a failed', 'b failed', 'c loading']);
    // There is room for one of the two next to c.
    expect(calls).toEqual(['load a', 'load b', 'unload b', 'load c']);
    await report('c');
    await expect(use('b')).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 60 });
  });

  it('stay on their way out when the engine dies and loads them again', async () => {
    const { calls, report, left, use, states } = residentsUnderTest({ maxLoadedModels: 1 });
    await report('a');
    const leave = await use('a');
    const used = use('b');
    await vi.advanceTimersByTimeAsync(patienceMs);
    await report('a', { state: 'restarting', retryAfterSeconds: 1 });
    await report('a');
    expect(states()[0]).toBe('a unloading');
    leave();
    await settle();
    expect(calls.at(-1)).toBe('unload a');
    await left('a');
    await report('b');
    await used;
  });
});

describe('a limit of memory', () => {
  it('counts the models’ plans, and what the process takes beyond them', async () => {
    // 100 MiB at start, 128 for the engine, and room for two models of 10 MiB.
    const limit = { memoryLimit: 249 * mebibyte };
    const { residents, process, calls, report, left, use, states } = residentsUnderTest(limit);
    expect(residents.bytesForModels).toBe(21 * mebibyte);
    await settle();
    expect(states()).toEqual(['a loading', 'b loading', 'c unloaded']);
    await report('a');
    process.bytes = 254 * mebibyte;
    await report('b');
    void use('c');
    await settle();
    expect(states()).toEqual(['a unloading', 'b unloading', 'c unloaded']);
    process.bytes = 234 * mebibyte;
    await left('a');
    expect(calls.at(-1)).toBe('load c');
    await left('b');
    await report('c');
    expect(states()).toEqual(['a unloaded', 'b unloaded', 'c ready']);
  });
});

it('13 models for whom there is room for four: none of 500 requests at random is lost', async () => {
  const names = Array.from({ length: 13 }, (_, i) => `m${i}`);
  const random = seededRandom(13);
  const config = { maxLoadedModels: 4, loadWaitMs: 60_000, maxQueuedRequests: 100, clientQueueShare: 100 };
  const { models, residents } = residentsUnderTest(config, []);
  const inMemory = new Set<string>();
  const running = new Map<string, number>();
  let most = 0;
  let loads = 0;
  const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  residents.serve({
    loadModel: async ({ spec: { name } }) => {
      loads += 1;
      inMemory.add(name);
      most = Math.max(most, inMemory.size);
      await later(50 + random.below(200));
      models.get(name)!.state = ready;
      residents.changed(name, 0.2);
    },
    unloadModel: async (name) => {
      expect(running.get(name) ?? 0).toBe(0);
      await later(10);
      inMemory.delete(name);
    },
  });
  for (const name of names) {
    const model = fakeModel(name, { state: 'loading' });
    models.set(name, model);
    void residents.add(model, modelToLoad(name));
  }
  let served = 0;
  const client = async () => {
    for (let i = 0; i < 50; i += 1) {
      const name = names[random.below(names.length)]!;
      const leave = await residents.use(models.get(name)!, { client: '', signal: never });
      expect(inMemory.has(name)).toBe(true);
      running.set(name, (running.get(name) ?? 0) + 1);
      await later(random.below(1500));
      running.set(name, running.get(name)! - 1);
      leave();
      served += 1;
      await later(random.below(100));
    }
  };
  const clients = Promise.all(Array.from({ length: 10 }, client));
  await vi.advanceTimersByTimeAsync(10 * 60_000);
  await clients;
  expect(served).toBe(500);
  expect(most).toBe(4);
  expect(loads).toBeGreaterThan(50);
});
