import { describe, expect, it } from 'vitest';
import type { GenerationEvent } from '../../src/engine/protocol/generation.ts';
import type { EngineCommand, EngineReport } from '../../src/engine/protocol/messages.ts';
import { WorkerLoop } from '../../src/engine/worker/worker-loop.ts';
import { EngineUnderTest } from '../support/engine-under-test.ts';
import { modelToLoad, noTokens } from '../support/fake-tokenizer.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { InProcessEngine } from '../support/in-process-engine.ts';
import { type SeededRandom, seededRandom } from '../support/seeded-random.ts';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function collect(stream: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

const tokensOf = (events: readonly GenerationEvent[], id: string) =>
  events.flatMap((event) => (event.type === 'tokens' && event.id === id ? event.tokens : []));

const kinds = { decoder: { slots: 3 }, t5: { slots: 2, encoderCapacity: 40 } };

function randomOverrides(random: SeededRandom, model: string): RequestOverrides {
  const promptTokens = Array.from({ length: 1 + random.below(25) }, () => 3 + random.below(256));
  const isGreedy = random.next() < 0.5;
  const seed = [random.below(2 ** 32), random.below(2 ** 32)] as const;
  return {
    model,
    promptTokens,
    maxTokens: 1 + random.below(20),
    priority: random.below(3),
    stop: { strings: random.next() < 0.3 ? ['e', ' t'] : [] },
    sampling: isGreedy
      ? { repetitionPenalty: 1.2 }
      : { temperature: 0.9, topP: 0.9, frequencyPenalty: 0.3, seed },
  };
}

/** The tokens of a request that runs alone on its model. */
async function alone(overrides: RequestOverrides): Promise<number[]> {
  const engine = new EngineUnderTest(kinds[overrides.model as keyof typeof kinds]);
  await engine.finish(generationRequest({ ...overrides, id: 'alone' }));
  return engine.tokensOf('alone');
}

describe('the engine, client to session', () => {
  it.each([1, 2, 3, 4])(
    'generates for everyone what they would get alone, aborts or not (seed %i)',
    async (seed) => {
      const random = seededRandom(seed);
      const engine = new InProcessEngine({ models: kinds });
      await engine.loaded;
      const calls = Array.from({ length: 40 }, async (_, call) => {
        const model = random.next() < 0.5 ? 'decoder' : 't5';
        const group = Array.from({ length: 1 + random.below(3) }, () => randomOverrides(random, model));
        const requests = group.map((each, i) => generationRequest({ ...each, id: `${call}.${i}` }));
        const fate = random.below(4);
        const patience = random.below(12);
        for (let turns = random.below(120); turns > 0; turns--) await turn();

        const controller = new AbortController();
        const events: GenerationEvent[] = [];
        for await (const event of engine.client.generate(requests, controller.signal)) {
          events.push(event);
          if (events.length === patience && fate === 0) controller.abort();
          if (events.length === patience && fate === 1) break;
        }
        for (const [i, { id }] of requests.entries()) {
          const own = events.filter((event) => event.id === id);
          const expected = await alone(group[i]!);
          const tokens = tokensOf(own, id);
          const isWhole = own.at(-1)?.type === 'finished';
          expect(tokens).toEqual(isWhole ? expected : expected.slice(0, tokens.length));
          if (fate > 1) expect(isWhole).toBe(true);
        }
      });
      await Promise.all(calls);
      // Requests whose consumer left may need one more step.
      expect(await engine.client.drain(10_000)).toBe(true);
      await engine.ended;

      expect(engine.client.load()).toEqual({ waiting: 0, running: 0, queuedTokens: 0 });
      expect(engine.observer.ends.map(({ id }) => id).sort()).toEqual(
        [...engine.observer.admittedIds].sort(),
      );
      expect(engine.faults).toEqual([]);
      for (const model of ['decoder', 't5']) {
        const last = engine.observer.steps.filter((step) => step.model === model).at(-1);
        expect(last).toMatchObject({ waiting: 0, running: 0, cacheUsage: 0 });
        expect(engine.engines.get(model)!.session.isClosed).toBe(true);
      }
      expect(Math.max(...engine.observer.steps.map(({ decodeRows }) => decodeRows))).toBeGreaterThan(1);
    },
  );

  it('steps models with work in turn', async () => {
    const engine = new InProcessEngine({ models: { first: {}, second: {} } });
    await engine.loaded;
    const call = (model: string) =>
      collect(engine.client.generate([generationRequest({ id: model, model, maxTokens: 6 })], never));
    await Promise.all([call('first'), call('second')]);
    const models = engine.observer.steps.map(({ model }) => model);
    const bothBusy = models.slice(models.indexOf('second'), models.lastIndexOf('first'));
    expect(bothBusy.length).toBeGreaterThan(5);
    expect(bothBusy.every((model, i) => model === (i % 2 === 0 ? 'second' : 'first'))).toBe(true);
    await engine.client.drain(0);
  });

  it('computes no more than a chunk of a model while another one decodes', async () => {
    const scheduling = { prefillChunk: 8, stepTokens: 32 };
    const engine = new InProcessEngine({ models: { first: { scheduling }, second: { scheduling } } });
    await engine.loaded;
    const call = (model: string, promptLength: number, maxTokens: number) => {
      const promptTokens = Array.from({ length: promptLength }, (_, i) => 3 + (i % 9));
      const requests = ['a', 'b'].map((id) =>
        generationRequest({
          id: model + id,
          model,
          promptTokens: [promptLength % 9, id.charCodeAt(0) % 9, ...promptTokens],
          maxTokens,
        }),
      );
      return collect(engine.client.generate(requests, never));
    };
    const streams = call('first', 2, 20);
    await call('second', 40, 1);
    await streams;
    await call('second', 41, 1);
    const prefilled = engine.observer.steps
      .filter(({ model, prefillTokens }) => model === 'second' && prefillTokens > 0)
      .map(({ prefillTokens }) => prefillTokens);
    expect(Math.max(...prefilled.slice(0, 8))).toBe(8);
    expect(Math.max(...prefilled)).toBe(16);
    await engine.client.drain(0);
  });

  it('reports each model as it is loaded or not, and serves those that are', async () => {
    const beforeLoad = ({ name }: { name: string }) => {
      if (name === 'broken') throw new Error('manifest.json is missing');
    };
    const engine = new InProcessEngine({ models: { broken: {}, whole: {} }, beforeLoad });
    await engine.loaded;
    expect(engine.states).toEqual([
      ['broken', 'failed'],
      ['whole', 'ready'],
    ]);
    const request = generationRequest({ model: 'whole', maxTokens: 2 });
    expect((await collect(engine.client.generate([request], never))).at(-1)!.type).toBe('finished');
    await engine.client.drain(0);
  });

  it('closes before all models are loaded', async () => {
    const loads: string[] = [];
    const gate = Promise.withResolvers<void>();
    const beforeLoad = ({ name }: { name: string }) => {
      loads.push(name);
      return gate.promise;
    };
    const engine = new InProcessEngine({ models: { first: {}, second: {} }, beforeLoad });
    const drained = engine.client.drain(0);
    await turn();
    gate.resolve();
    expect(await drained).toBe(true);
    await engine.ended;
    expect(loads).toEqual(['first']);
    expect(engine.engines.get('first')!.session.isClosed).toBe(true);
  });

  it('ends what still runs when the drain is over', async () => {
    const engine = new InProcessEngine({ models: { decoder: { capacity: 5000 } } });
    await engine.loaded;
    const request = generationRequest({ model: 'decoder', maxTokens: 5000, stop: { ignoreEos: true } });
    const events = collect(engine.client.generate([request], never));
    await turn();
    expect(await engine.client.drain(0)).toBe(true);
    expect((await events).at(-1)).toMatchObject({ type: 'failed', code: 'shutting_down' });
    await engine.ended;
    expect(engine.engines.get('decoder')!.session.isClosed).toBe(true);
  });

  it('loads and closes models while others generate, and gives nobody’s request away', async () => {
    const engine = new InProcessEngine({
      models: { first: { capacity: 5000 } },
      later: { second: {} },
    });
    await engine.loaded;
    const long = generationRequest({ id: 'long', model: 'first', maxTokens: 400, stop: { ignoreEos: true } });
    const events = collect(engine.client.generate([long], never));
    await engine.client.loadModel(modelToLoad('second'));
    const short = generationRequest({ id: 'short', model: 'second', maxTokens: 4 });
    expect((await collect(engine.client.generate([short], never))).at(-1)?.type).toBe('finished');
    await engine.client.unloadModel('second', 1000);
    expect(engine.engines.get('second')!.session.isClosed).toBe(true);
    expect(engine.engines.get('first')!.session.isClosed).toBe(false);
    expect(tokensOf(await events, 'long')).toHaveLength(400);
    await engine.client.drain(0);
  });

  it('lets a load wait for its vocabulary, until the model is not wanted any more', async () => {
    const engine = new InProcessEngine({ models: { first: {} }, later: { read: {}, unread: {}, slow: {} } });
    await engine.loaded;
    const load = (name: string, vocabulary: Promise<typeof noTokens>) =>
      engine.client.loadModel({ spec: { name, folder: '' }, vocabulary });
    const reading = Promise.withResolvers<typeof noTokens>();
    const read = load('read', reading.promise);
    await turn();
    expect(engine.engines.has('read')).toBe(false);
    reading.resolve(noTokens);
    await read;
    expect(engine.states.at(-1)).toEqual(['read', 'ready']);
    await load('unread', Promise.reject(new Error('no tokenizer.json')));
    expect(engine.states.at(-1)).toEqual(['unread', 'failed']);
    const never: Promise<typeof noTokens> = new Promise(() => {});
    const slow = load('slow', never);
    await engine.client.unloadModel('slow', 0);
    await slow;
    void load('slow', never);
    expect(await engine.client.drain(0)).toBe(true);
  });

  it('closes a model that is removed while it loads as soon as it is there', async () => {
    const gate = Promise.withResolvers<void>();
    const beforeLoad = ({ name }: { name: string }) => (name === 'slow' ? gate.promise : undefined);
    const engine = new InProcessEngine({ models: { first: {} }, later: { slow: {}, next: {} }, beforeLoad });
    await engine.loaded;
    const load = (name: string) => engine.client.loadModel(modelToLoad(name));
    const loads = [load('slow'), load('next')];
    await turn();
    const unloads = ['slow', 'next'].map((name) => engine.client.unloadModel(name, 0));
    await turn();
    const request = generationRequest({ id: 'a', model: 'first', maxTokens: 2 });
    expect((await collect(engine.client.generate([request], never))).at(-1)?.type).toBe('finished');
    gate.resolve();
    await Promise.all([...loads, ...unloads]);
    expect(engine.engines.get('slow')!.session.isClosed).toBe(true);
    expect(engine.engines.has('next')).toBe(false);
    await engine.client.drain(0);
  });

  it('loads a model once that is asked for just when the load before it has ended', async () => {
    const loads: string[] = [];
    const closed = Promise.withResolvers<void>();
    let send: (command: EngineCommand) => void = () => {};
    const load = (name: string) => {
      send({ type: 'load', spec: { name, folder: '' } });
      send({ type: 'vocabulary', model: name, vocabulary: noTokens });
    };
    const loop = new WorkerLoop({
      port: {
        postMessage: async (report: EngineReport) => {
          if (report.type === 'closed') closed.resolve();
          if (report.type !== 'loaded') return;
          // Before the next turn, in which the loop would look for further models.
          for (let i = 0; i < 20; i++) await null;
          if (report.model === 'first') load('second');
          else for (let i = 0; i < 3; i++) await turn();
          if (report.model === 'second') send({ type: 'close' });
        },
        on: (_, listener: (command: EngineCommand) => void) => {
          send = listener;
        },
      },
      load: async ({ name }) => {
        loads.push(name);
        await turn();
        return new EngineUnderTest({ name }).engine;
      },
      clock: () => 0,
    });
    const run = loop.run();
    load('first');
    await Promise.all([run, closed.promise]);
    expect(loads).toEqual(['first', 'second']);
  });
});
