import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ModelState } from '../../src/catalog/served-model.ts';
import { Admission } from '../../src/engine/client/admission.ts';
import { EngineClient, type EngineClientOptions } from '../../src/engine/client/engine-client.ts';
import type { GenerationEvent } from '../../src/engine/protocol/generation.ts';
import type { EngineCommand, EngineReport } from '../../src/engine/protocol/messages.ts';
import { fakeRuntime } from '../support/fake-session.ts';
import { noTokens } from '../support/fake-tokenizer.ts';
import { generationRequest } from '../support/generation-request.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RecordingObserver } from '../support/recording-observer.ts';

const started = (id: string): GenerationEvent => ({ type: 'started', id, at: 5 });
const prefilled = (id: string): GenerationEvent => ({ type: 'prefilled', id, at: 6 });
const token = (id: string): GenerationEvent => ({
  type: 'tokens',
  id,
  at: 6,
  tokens: [7],
  text: 'x',
  logprobs: null,
});
const finished = (id: string): GenerationEvent => ({
  type: 'finished',
  id,
  at: 7,
  reason: 'length',
  stopReason: null,
  text: '',
});
const request = (id: string, model = 'm') => generationRequest({ id, model });
const limits = {
  slots: 2,
  capacity: 50,
  encoderCapacity: 0,
  encoderWidth: 0,
  cacheBudget: 0,
  isCacheLimit: false,
};
const specOf = (name: string) => ({ name, folder: `/${name}/onnx` });
const wanted = (name: string) => ({ spec: specOf(name), vocabulary: Promise.resolve(noTokens) });
const never = new AbortController().signal;

/** Lets what has been resolved go on; timers are fake. */
async function turn(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await null;
}

describe('EngineClient', () => {
  let clock: ManualClock;
  let observer: RecordingObserver;
  /** All but vocabularies. */
  let sent: EngineCommand[];
  let vocabularies: EngineCommand[];
  let report: (report: EngineReport) => void;
  let end: (exitCode?: number) => void;
  let faults: string[];
  let client: EngineClient;
  let states: Map<string, ModelState>;
  let interrupt: () => void;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    clock = new ManualClock();
    observer = new RecordingObserver();
    sent = [];
    vocabularies = [];
    faults = [];
    states = new Map();
    interrupt = vi.fn();
    client = new EngineClient(parts());
    for (const name of ['m', 'other']) client.loadModel(wanted(name));
    sent.length = 0;
    load();
    report({ type: 'load-failed', model: 'other', message: 'no such file' });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await client.drain(0, 0, 0);
  });

  const parts = (): EngineClientOptions => ({
    startWorker: (onReport, onEnd) => {
      report = onReport;
      end = (exitCode = 1) => onEnd(exitCode);
      return {
        postMessage: (command) => (command.type === 'vocabulary' ? vocabularies : sent).push(command),
      };
    },
    interrupt: () => interrupt(),
    admission: new Admission(
      { maxQueuedRequests: 3, maxQueuedTokens: 100, clientQueueShare: 100 },
      clock.now,
    ),
    observer,
    clock: clock.now,
    onModelState: (model, state) => states.set(model, state),
    onFault: (_, detail) => faults.push(detail),
  });

  const load = (model = 'm') =>
    report({ type: 'loaded', model, seconds: 1, ...limits, runtime: fakeRuntime });

  const say = (...events: GenerationEvent[]) => {
    const step = {
      model: 'm',
      prefillMs: null,
      decodeMs: 1,
      decodeRows: 1,
      prefillTokens: 0,
      waiting: 0,
      running: 1,
      cacheUsage: 0,
      prefillBacklogMs: 0,
      cacheBytes: 0,
    };
    report({ type: 'stepped', step, events });
  };

  async function consume(stream: AsyncIterable<GenerationEvent>): Promise<string[]> {
    const seen: string[] = [];
    for await (const event of stream) seen.push(`${event.type} ${event.id}`);
    return seen;
  }

  const refusalOf = (call: () => void) => {
    try {
      call();
    } catch (error) {
      return error;
    }
    return null;
  };

  it('hands on the events of a call, interleaved, until its last request has ended', async () => {
    const consumed = consume(client.generate([request('a'), request('b')], never));
    expect(sent).toEqual([{ type: 'submit', requests: [request('a'), request('b')] }]);
    say(started('b'), started('a'), token('b'));
    say(token('a'), finished('a'), token('b'), finished('b'));
    expect(await consumed).toEqual([
      'started b',
      'started a',
      'tokens b',
      'tokens a',
      'finished a',
      'tokens b',
      'finished b',
    ]);
  });

  it('counts what waits and what runs', () => {
    client.generate([request('a'), request('b')], never);
    expect(client.load()).toEqual({ waiting: 2, running: 0, queuedTokens: 6 });
    say(started('a'));
    expect(client.load()).toEqual({ waiting: 1, running: 1, queuedTokens: 3 });
    say(finished('a'));
    say({ type: 'failed', id: 'b', at: 7, code: 'deadline_exceeded', message: '', stage: 'queued' });
    expect(client.load()).toEqual({ waiting: 0, running: 0, queuedTokens: 0 });
  });

  it('refuses a call whole when the queue has no room for it, before anything is sent', () => {
    client.generate([request('a'), request('b')], never);
    const refusal = refusalOf(() => client.generate([request('c'), request('d')], never));
    expect(refusal).toMatchObject({ code: 'queue_full', retryAfterSeconds: expect.any(Number) });
    expect(sent).toHaveLength(1);
    expect(observer.admittedIds).toEqual(['a', 'b']);
    expect(observer.rejections).toEqual([{ model: 'm', reason: 'queue_full', count: 2 }]);
    say(started('a'));
    client.generate([request('c'), request('d')], never);
  });

  it('refuses models that are not ready', () => {
    const refusal = () => refusalOf(() => client.generate([request('a', 'late')], never));
    client.loadModel(wanted('late'));
    expect(refusal()).toMatchObject({ code: 'not_ready', message: expect.stringContaining('loading') });
    report({ type: 'load-failed', model: 'late', message: 'no such file' });
    expect(refusal()).toMatchObject({
      code: 'not_ready',
      message: expect.not.stringContaining('no such file'),
    });
    expect(states.get('other')).toEqual({ state: 'failed', message: 'no such file' });
    expect(states.get('m')).toEqual({ state: 'ready', ...limits, runtime: fakeRuntime });
    expect(client.load().waiting).toBe(0);
  });

  it('aborts what still runs when the signal aborts, and nothing after the end', async () => {
    const controller = new AbortController();
    const consumed = consume(client.generate([request('a'), request('b')], controller.signal));
    say(started('a'), finished('a'));
    controller.abort();
    expect(sent.at(-1)).toEqual({ type: 'abort', ids: ['b'] });
    say({ type: 'aborted', id: 'b', at: 7, stage: 'queued' });
    expect(await consumed).toEqual(['started a', 'finished a', 'aborted b']);

    const late = new AbortController();
    client.generate([request('c')], late.signal);
    say(started('c'), finished('c'));
    expect(getEventListeners(late.signal, 'abort')).toHaveLength(0);
    const count = sent.length;
    late.abort();
    expect(sent).toHaveLength(count);
  });

  it('aborts at once what comes with an aborted signal', () => {
    client.generate([request('a')], AbortSignal.abort());
    expect(sent.map(({ type }) => type)).toEqual(['submit', 'abort']);
  });

  it('aborts what still runs when the consumer leaves, and counts it until the engine has let go', async () => {
    const stream = client.generate([request('a')], never);
    say(started('a'), prefilled('a'), token('a'));
    for await (const event of stream) if (event.type === 'tokens') break;
    expect(sent.at(-1)).toEqual({ type: 'abort', ids: ['a'] });
    expect(client.load().running).toBe(1);
    say({ type: 'aborted', id: 'a', at: 7, stage: 'decode' });
    expect(client.load().running).toBe(0);
    expect(observer.ends.map(({ type }) => type)).toEqual(['aborted']);
  });

  it('reports each request once: admitted, started, its tokens, ended', () => {
    client.generate([request('a')], never);
    say(started('a'), prefilled('a'), token('a'));
    say(token('a'), finished('a'));
    say(token('a'), finished('a'));
    expect(observer.admittedIds).toEqual(['a']);
    expect(observer.startedIds).toEqual(['a']);
    expect(observer.tokenCounts.get('a')).toBe(2);
    expect(observer.ends).toEqual([finished('a')]);
    expect(observer.steps).toHaveLength(3);
  });

  describe('when the worker dies', () => {
    beforeEach(() => {
      vi.useFakeTimers();
    });
    afterEach(() => vi.useRealTimers());

    it('fails what ran, keeps what waited for the next worker, and refuses what comes meanwhile', async () => {
      clock.advance(50);
      const stream = client.generate([request('a'), request('b')], never);
      const consumed = consume(stream);
      say(started('a'), prefilled('a'), token('a'));
      end();
      expect(stream.lives).toMatchObject([
        { startedAt: 5, prefilledAt: 6, firstTokenAt: 6, generatedTokens: 1, end: { at: 50 } },
        { startedAt: null, generatedTokens: 0, end: null },
      ]);
      expect(observer.ends).toMatchObject([
        {
          code: 'engine_failure',
          stage: 'decode',
          at: 50,
        },
      ]);
      expect(client.load()).toEqual({ waiting: 1, running: 0, queuedTokens: 3 });
      expect(states.get('m')).toEqual({ state: 'restarting', retryAfterSeconds: 2 });
      expect(refusalOf(() => client.generate([request('c')], never))).toMatchObject({
        code: 'not_ready',
        retryAfterSeconds: 2,
      });

      sent.length = 0;
      vi.advanceTimersByTime(100);
      expect(observer.restarts).toBe(1);
      expect(sent).toEqual(['m', 'other'].map((name) => ({ type: 'load', spec: specOf(name) })));
      sent.length = 0;
      load();
      expect(states.get('m')?.state).toBe('ready');
      expect(sent).toEqual([{ type: 'submit', requests: [request('b')] }]);
      say(started('b'), token('b'), finished('b'));
      expect(await consumed).toEqual([
        'started a',
        'prefilled a',
        'tokens a',
        'failed a',
        'started b',
        'tokens b',
        'finished b',
      ]);
    });

    it('gives up what waits when the next worker dies before it serves, and tries again, ever later', () => {
      client.generate([request('a')], never);
      end();
      for (const delayMs of [100, 200, 400]) {
        const { restarts } = observer;
        vi.advanceTimersByTime(delayMs - 1);
        expect(observer.restarts).toBe(restarts);
        vi.advanceTimersByTime(1);
        expect(observer.restarts).toBe(restarts + 1);
        end();
      }
      expect(observer.ends).toMatchObject([{ code: 'not_ready', stage: 'queued' }]);
      vi.advanceTimersByTime(800);
      load();
      expect(states.get('m')?.state).toBe('ready');
    });

    it('starts again a worker that could load nothing the second time', () => {
      end();
      vi.advanceTimersByTime(100);
      sent.length = 0;
      report({ type: 'load-failed', model: 'm', message: 'no memory' });
      report({ type: 'load-failed', model: 'other', message: 'no memory' });
      expect(sent).toEqual([{ type: 'close' }]);
      report({ type: 'closed' });
      end();
      expect(states.get('m')?.state).toBe('restarting');
      vi.advanceTimersByTime(200);
      expect(observer.restarts).toBe(2);
    });

    it('fails what waits for a model that the next worker cannot load', () => {
      client.generate([request('a')], never);
      end();
      vi.advanceTimersByTime(100);
      report({ type: 'load-failed', model: 'm', message: 'no memory' });
      expect(observer.ends).toMatchObject([{ code: 'not_ready', stage: 'queued' }]);
    });

    it('aborts here what waits while there is no worker', async () => {
      const controller = new AbortController();
      const consumed = consume(client.generate([request('a')], controller.signal));
      end();
      controller.abort();
      expect(await consumed).toEqual(['aborted a']);
      expect(client.load().waiting).toBe(0);
    });

    it('aborts here what waits while the next worker loads its model', async () => {
      const controller = new AbortController();
      const consumed = consume(client.generate([request('a')], controller.signal));
      end();
      vi.advanceTimersByTime(100);
      controller.abort();
      expect(await consumed).toEqual(['aborted a']);
      expect(sent.filter(({ type }) => type === 'abort')).toEqual([]);
    });

    it('does not wait for one that loads', async () => {
      end();
      vi.advanceTimersByTime(100);
      const drained = client.drain(0, 1000, 500);
      await vi.advanceTimersByTimeAsync(1500);
      expect(sent.at(-1)).toEqual({ type: 'close' });
      expect(await drained).toBe(true);
    });

    it('interrupts a load at once', async () => {
      end();
      vi.advanceTimersByTime(100);
      interrupt = vi.fn(() => report({ type: 'closed' }));
      expect(await client.drain(0)).toBe(true);
      expect(interrupt).toHaveBeenCalledOnce();
    });

    it('reports its exit code, and what comes next', () => {
      end(134);
      expect(faults).toEqual(["The engine's thread exited with code 134; another starts in 100 ms."]);
    });

    it('starts no other once it drains', async () => {
      end();
      const drained = client.drain(0);
      await vi.advanceTimersByTimeAsync(10_000);
      expect(await drained).toBe(true);
      expect(observer.restarts).toBe(0);
    });
  });

  it('does not start again a worker that has never loaded anything', async () => {
    const other = new EngineClient({ ...parts(), onModelState: (model, state) => states.set(model, state) });
    const loading = other.loadModel(wanted('m'));
    end();
    await loading;
    expect(states.get('m')).toEqual({ state: 'failed', message: 'The engine has stopped.' });
    expect(faults).toEqual(["The engine's thread exited with code 1; it is not restarted."]);
    await other.loadModel(wanted('later'));
    expect(states.get('later')).toEqual({ state: 'failed', message: 'The engine has stopped.' });
    expect(observer.restarts).toBe(0);
  });

  describe('a model that is added later', () => {
    beforeEach(() => void vi.useFakeTimers());

    it('is loaded beside the others and served', async () => {
      const added = client.loadModel(wanted('new'));
      expect(sent).toEqual([{ type: 'load', spec: specOf('new') }]);
      expect(refusalOf(() => client.generate([request('a', 'new')], never))).toMatchObject({
        code: 'not_ready',
        retryAfterSeconds: 5,
      });
      load('new');
      await added;
      client.generate([request('a', 'new')], never);
      expect(sent.at(-1)).toEqual({ type: 'submit', requests: [request('a', 'new')] });
    });

    it('gets its vocabulary once that is read, or the reason why it is not', async () => {
      vocabularies.length = 0;
      const readings = Array.from({ length: 3 }, () => Promise.withResolvers<typeof noTokens>());
      for (const [n, { promise }] of readings.entries())
        void client.loadModel({ spec: specOf(`new-${n}`), vocabulary: promise });
      void client.unloadModel('new-2', 0);
      await turn();
      report({ type: 'unloaded', model: 'new-2' });
      void client.loadModel({ spec: specOf('new-2'), vocabulary: new Promise(() => {}) });
      await turn();
      expect(vocabularies).toEqual([]);
      readings[0]!.resolve(noTokens);
      readings[1]!.reject(new Error('no tokenizer.json'));
      // Of a model that has left; another has its name now.
      readings[2]!.resolve(noTokens);
      await turn();
      expect(vocabularies).toEqual([
        { type: 'vocabulary', model: 'new-0', vocabulary: noTokens },
        { type: 'vocabulary', model: 'new-1', problem: 'no tokenizer.json' },
      ]);
    });

    it('that fails changes nothing for the others', async () => {
      const added = client.loadModel(wanted('new'));
      report({ type: 'load-failed', model: 'new', message: 'no memory' });
      await added;
      expect(states.get('new')).toEqual({ state: 'failed', message: 'no memory' });
      expect(states.get('m')?.state).toBe('ready');
      expect(sent).toHaveLength(1);
    });

    it('that kills the engine while it is loaded is given up, so that the others come back', async () => {
      const added = client.loadModel(wanted('new'));
      end();
      vi.advanceTimersByTime(100);
      expect(sent.slice(1)).toEqual(
        ['m', 'other', 'new'].map((name) => ({ type: 'load', spec: specOf(name) })),
      );
      load();
      report({ type: 'load-failed', model: 'other', message: 'no such file' });
      end();
      await added;
      expect(states.get('new')).toEqual({
        state: 'failed',
        message: 'The engine died 2 times while it loaded the model.',
      });
      sent.length = 0;
      vi.advanceTimersByTime(200);
      expect(sent).toEqual(['m', 'other'].map((name) => ({ type: 'load', spec: specOf(name) })));
    });
  });

  describe('a model that is removed', () => {
    beforeEach(() => void vi.useFakeTimers());

    it('takes no requests, finishes what runs, and leaves then', async () => {
      const consumed = consume(client.generate([request('a')], never));
      say(started('a'));
      const unloaded = client.unloadModel('m', 1000);
      expect(refusalOf(() => client.generate([request('b')], never))).toMatchObject({ code: 'not_ready' });
      await vi.advanceTimersByTimeAsync(500);
      expect(sent.at(-1)?.type).toBe('submit');
      say(token('a'), finished('a'));
      expect(await consumed).toEqual(['started a', 'tokens a', 'finished a']);
      await vi.advanceTimersByTimeAsync(0);
      expect(sent.at(-1)).toEqual({ type: 'unload', model: 'm' });
      report({ type: 'unloaded', model: 'm' });
      await unloaded;
      expect(refusalOf(() => client.generate([request('b')], never))).toMatchObject({ code: 'not_ready' });
      const again = client.loadModel(wanted('m'));
      load();
      await again;
      client.generate([request('b')], never);
      expect(sent.at(-1)?.type).toBe('submit');
    });

    it('is not waited for beyond the limit, and takes no other model’s requests with it', async () => {
      const added = client.loadModel(wanted('new'));
      load('new');
      await added;
      const consumed = consume(client.generate([request('a')], never));
      client.generate([request('b', 'new')], never);
      say(started('a'), started('b'));
      const unloaded = client.unloadModel('m', 1000);
      await vi.advanceTimersByTimeAsync(1000);
      expect(await consumed).toEqual(['started a', 'failed a']);
      expect(observer.ends).toMatchObject([{ id: 'a', code: 'not_ready' }]);
      expect(sent.at(-1)).toEqual({ type: 'unload', model: 'm' });
      report({ type: 'unloaded', model: 'm' });
      await unloaded;
      expect(client.load().running).toBe(1);
    });

    it('is not confused with a later one of its name', async () => {
      sent.length = 0;
      await client.unloadModel('nobody', 0);
      expect(sent).toEqual([]);
      report({ type: 'unloaded', model: 'm' });
      client.generate([request('a')], never);
      expect(sent.at(-1)?.type).toBe('submit');
    });

    it('is gone with a worker that dies, and the next does not load it', async () => {
      const added = client.loadModel(wanted('new'));
      load('new');
      await added;
      client.generate([request('a')], never);
      say(started('a'));
      const unloaded = client.unloadModel('m', 60_000);
      end();
      await unloaded;
      sent.length = 0;
      await vi.advanceTimersByTimeAsync(100);
      expect(sent.filter(({ type }) => type === 'load')).toEqual(
        ['other', 'new'].map((name) => ({ type: 'load', spec: specOf(name) })),
      );
    });
  });

  it('keeps deadlines that the worker does not', async () => {
    const queued = { ...request('a'), queueDeadline: 100, deadline: 10_000 };
    const running = { ...request('b'), queueDeadline: 100, deadline: 1000 };
    const consumed = consume(client.generate([queued, running], never));
    say(started('b'));
    clock.advance(351);
    vi.advanceTimersByTime(250);
    expect(observer.ends).toMatchObject([{ id: 'a', code: 'deadline_exceeded', stage: 'queued' }]);
    expect(sent.at(-1)).toEqual({ type: 'abort', ids: ['a'] });
    clock.advance(900);
    vi.advanceTimersByTime(250);
    expect(await consumed).toEqual(['started b', 'failed a', 'failed b']);
  });

  it('drains: refuses, waits for what runs, closes', async () => {
    const consumed = consume(client.generate([request('a')], never));
    say(started('a'));
    const drained = client.drain(60_000);
    expect(refusalOf(() => client.generate([request('b')], never))).toMatchObject({ code: 'shutting_down' });
    expect(observer.rejections.at(-1)).toMatchObject({ reason: 'shutting_down' });
    say(token('a'), finished('a'));
    expect((await consumed).at(-1)).toBe('finished a');
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent.at(-1)).toEqual({ type: 'close' });
    report({ type: 'closed' });
    expect(await drained).toBe(true);
    expect(await client.drain(0)).toBe(true);
    expect(interrupt).not.toHaveBeenCalled();
  });

  it('interrupts a worker that does not close in time', async () => {
    interrupt = vi.fn(() => report({ type: 'closed' }));
    expect(await client.drain(0, 0)).toBe(true);
    expect(sent.at(-1)).toEqual({ type: 'close' });
    expect(interrupt).toHaveBeenCalledOnce();
  });

  it('fails what outlasts the drain', async () => {
    const stream = client.generate([request('a')], never);
    say(started('a'), prefilled('a'), token('a'));
    const drained = client.drain(0, 0, 0);
    const events: GenerationEvent[] = [];
    for await (const event of stream) events.push(event);
    expect(events.at(-1)).toMatchObject({ type: 'failed', code: 'shutting_down', stage: 'decode' });
    // The worker never answers.
    expect(await drained).toBe(false);
    expect(sent.at(-1)).toEqual({ type: 'close' });
  });
});
