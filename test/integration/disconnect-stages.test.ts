import { request } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildServer } from '../../src/http/server.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import { fakeConfig, fakeModel, idleKeeper } from '../support/fake-server.ts';
import { type FakeCall, fakeRuntime } from '../support/fake-session.ts';
import { InProcessEngine } from '../support/in-process-engine.ts';

/** The real HTTP server on a real socket and the real engine, on a session that blocks each call until released. */
async function gatedService() {
  const calls: { call: FakeCall; letGo: () => void }[] = [];
  let isGated = true;
  const during = (call: FakeCall) =>
    new Promise<void>((letGo) => (isGated ? calls.push({ call, letGo }) : letGo()));
  const engine = new InProcessEngine({ models: { tiny: { slots: 1, capacity: 64, during } } });
  await engine.loaded;
  const state = {
    state: 'ready',
    slots: 1,
    capacity: 64,
    encoderCapacity: 0,
    encoderWidth: 0,
    cacheBudget: 0,
    isCacheLimit: false,
    runtime: fakeRuntime,
  } as const;
  const app = buildServer({
    config: {
      ...fakeConfig,
      queueTimeoutMs: 1e6,
      requestTimeoutMs: 1e6,
      maxQueuedRequests: 10,
    },
    models: new Map([['tiny', fakeModel('tiny', state, 'decoder-only')]]),
    keeper: idleKeeper,
    engine: engine.client,
    compileGrammar: async () => ({ id: 1 }),
    metrics: new Metrics(createMetricsCatalogue(), '0'),
    traces: null,
    logger: createLogger('silent'),
    clock: engine.clock.now,
    version: '0',
    isDraining: () => false,
    isLate: () => false,
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  onTestFinished(async () => {
    isGated = false;
    for (const { letGo } of calls) letGo();
    await engine.client.drain(0);
    await app.close();
  });
  return { app, engine, calls, url };
}

type Gated = Awaited<ReturnType<typeof gatedService>>;

/** Sends a request on its own socket. @returns a function that closes the socket */
function post({ url }: Gated, prompt: string): () => void {
  const headers = { 'content-type': 'application/json' };
  const sent = request(`${url}/v1/completions`, { method: 'POST', headers, agent: false });
  sent.on('error', () => {});
  sent.end(JSON.stringify({ prompt, max_tokens: 16, stream: true, ignore_eos: true }));
  return () => sent.destroy();
}

/** Releases calls one by one until `count` of them have begun. */
async function runToCall({ calls }: Gated, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    await expect.poll(() => calls.length).toBeGreaterThan(i);
    if (i < count - 1) calls[i]?.letGo();
  }
}

// A prompt of 20 bytes is prefilled in chunks of 8, 8 and 4 (and the tokenizer's `</s>`); calls from the fourth on decode.
const prompt = 'abcdefghijklmnopqrst';

describe('a client that hangs up while the engine is inside a step', () => {
  it.each([
    ['prefill', 2],
    ['decode', 6],
  ])('in %s: the step under way is its last, and the slot goes to the next', async (stage, count) => {
    const service = await gatedService();
    const { engine, calls } = service;
    const hangUp = post(service, prompt);
    await runToCall(service, count);
    expect(calls.at(-1)?.call.kind).toBe(stage);

    const next = 'the next one';
    post(service, next);
    await expect.poll(() => engine.observer.admittedIds.length).toBe(2);
    const sockets = () =>
      new Promise<number>((resolve) => service.app.server.getConnections((_, n) => resolve(n)));
    hangUp();
    await expect.poll(sockets).toBe(1);

    calls.at(-1)?.letGo();
    await expect.poll(() => calls.length).toBe(count + 1);
    expect(calls.at(-1)?.call).toMatchObject({ kind: 'prefill', slots: [0] });
    expect(calls.at(-1)?.call.contents[0]).toEqual(
      [...next.slice(0, 8)].map((character) => character.charCodeAt(0) + 3),
    );
    calls.at(-1)?.letGo();
    await expect
      .poll(() => engine.observer.ends)
      .toEqual([expect.objectContaining({ type: 'aborted', stage })]);
    expect(engine.observer.startedIds).toEqual(engine.observer.admittedIds);
  });
});
