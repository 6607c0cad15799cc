import { getEventListeners } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ModelState } from '../../src/catalog/served-model.ts';
import { Admission } from '../../src/engine/admission.ts';
import { EngineClient } from '../../src/engine/engine-client.ts';
import type { GenerationEvent, Timings } from '../../src/engine/generation.ts';
import type { EngineCommand, EngineReport } from '../../src/engine/messages.ts';
import { fakeRuntime } from '../support/fake-session.ts';
import { generationRequest } from '../support/generation-request.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RecordingObserver } from '../support/recording-observer.ts';

const timings: Timings = {
  arrivedAt: 0,
  startedAt: 1,
  prefilledAt: 2,
  firstTokenAt: 2,
  finishedAt: 3,
  promptTokens: 3,
  generatedTokens: 1,
};
const started = (id: string): GenerationEvent => ({ type: 'started', id, at: 5 });
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
  reason: 'length',
  stopReason: null,
  text: '',
  timings,
});
const request = (id: string, model = 'm') => generationRequest({ id, model });
const limits = { slots: 2, capacity: 50, encoderCapacity: 0 };
const never = new AbortController().signal;

describe('EngineClient', () => {
  let clock: ManualClock;
  let observer: RecordingObserver;
  let sent: EngineCommand[];
  let report: (report: EngineReport) => void;
  let client: EngineClient;
  let states: Map<string, ModelState>;

  beforeEach(() => {
    clock = new ManualClock();
    observer = new RecordingObserver();
    sent = [];
    states = new Map();
    client = new EngineClient({
      port: {
        postMessage: (command: EngineCommand) => sent.push(command),
        on: (_, listener: (report: EngineReport) => void) => {
          report = listener;
        },
      },
      models: ['m', 'other'],
      admission: new Admission({ maxQueuedRequests: 3, maxQueuedTokens: 100 }, clock.now),
      observer,
      clock: clock.now,
      onModelState: (model, state) => states.set(model, state),
      onFault: () => {},
    });
    report({ type: 'loaded', model: 'm', seconds: 1, ...limits, runtime: fakeRuntime });
  });

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
    say({ type: 'failed', id: 'b', code: 'deadline_exceeded', message: '', stage: 'queued', timings });
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
    const refusal = () => refusalOf(() => client.generate([request('a', 'other')], never));
    expect(refusal()).toMatchObject({ code: 'not_ready', message: expect.stringContaining('loading') });
    report({ type: 'load-failed', model: 'other', message: 'no such file' });
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
    say({ type: 'aborted', id: 'b', stage: 'queued', timings });
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
    say(started('a'), token('a'));
    for await (const event of stream) if (event.type === 'tokens') break;
    expect(sent.at(-1)).toEqual({ type: 'abort', ids: ['a'] });
    expect(client.load().running).toBe(1);
    say({ type: 'aborted', id: 'a', stage: 'decode', timings });
    expect(client.load().running).toBe(0);
    expect(observer.ends.map(({ type }) => type)).toEqual(['aborted']);
  });

  it('reports each request once: admitted, started, its tokens, ended', () => {
    client.generate([request('a')], never);
    say(started('a'), token('a'));
    say(token('a'), finished('a'));
    say(token('a'), finished('a'));
    expect(observer.admittedIds).toEqual(['a']);
    expect(observer.startedIds).toEqual(['a']);
    expect(observer.tokenCounts.get('a')).toBe(2);
    expect(observer.ends).toEqual([finished('a')]);
    expect(observer.steps).toHaveLength(3);
  });

  it('fails what runs when the worker is gone, and refuses what comes', async () => {
    clock.advance(50);
    const consumed = consume(client.generate([request('a'), request('b')], never));
    say(started('a'), token('a'));
    client.workerGone('it crashed');
    client.workerGone('it ended');
    expect(await consumed).toEqual(['started a', 'tokens a', 'failed a', 'failed b']);
    expect(observer.ends).toMatchObject([
      {
        code: 'engine_failure',
        stage: 'decode',
        timings: { startedAt: 5, finishedAt: 50, generatedTokens: 1 },
      },
      { code: 'engine_failure', stage: 'queued', timings: { startedAt: null } },
    ]);
    expect(states.get('m')).toEqual({ state: 'failed', message: 'it crashed' });
    expect(refusalOf(() => client.generate([request('c')], never))).toMatchObject({ code: 'not_ready' });
    expect(client.load()).toEqual({ waiting: 0, running: 0, queuedTokens: 0 });
    await client.whenLoaded();
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
  });

  it('fails what outlasts the drain', async () => {
    const stream = client.generate([request('a')], never);
    say(started('a'), token('a'));
    const drained = client.drain(0, 0);
    const events: GenerationEvent[] = [];
    for await (const event of stream) events.push(event);
    expect(events.at(-1)).toMatchObject({ type: 'failed', code: 'shutting_down', stage: 'decode' });
    // The worker never answers.
    expect(await drained).toBe(false);
    expect(sent.at(-1)).toEqual({ type: 'close' });
  });
});
