import { describe, expect, it } from 'vitest';
import type { GenerationEvent } from '../../src/engine/protocol/generation.ts';
import { EngineUnderTest, type EngineUnderTestOptions } from '../support/engine-under-test.ts';
import type { FakeCall } from '../support/fake-session.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { InProcessEngine } from '../support/in-process-engine.ts';

const scheduling = { stepTokens: 512, prefillChunk: 256 };
const prompt = (length: number, first = 0) => Array.from({ length }, (_, i) => 3 + ((first + i) % 256));
const request = (id: string, more: RequestOverrides) =>
  generationRequest({ id, stop: { ignoreEos: true }, ...more });

/** Milliseconds of a call on a machine that reads its weights in 20 ms. */
const callMs = ({ kind, tokens }: FakeCall) => (kind === 'copySlot' ? 0 : 20 + tokens);

/** An engine whose calls take as long as `callMs` says, and which has computed prompts and steps before. */
async function warmEngine(options: EngineUnderTestOptions = {}) {
  const during = (call: FakeCall) => {
    engine.clock.advance(callMs(call) / 2);
    atHalf?.();
    engine.clock.advance(callMs(call) / 2);
  };
  let atHalf: (() => void) | null = null;
  const engine: EngineUnderTest = new EngineUnderTest({
    capacity: 2048,
    stepMs: 250,
    scheduling,
    during,
    ...options,
  });
  await engine.finish(
    request('warm', { promptTokens: prompt(1500), maxTokens: 60 }),
    request('short', { promptTokens: prompt(9, 99), maxTokens: 300 }),
  );
  const onHalfOfNextCall = (run: () => void) => {
    atHalf = () => {
      atHalf = null;
      run();
    };
  };
  return { engine, onHalfOfNextCall };
}

const timesOf = (events: readonly GenerationEvent[]) =>
  events.flatMap((event) => (event.type === 'tokens' ? [event.at] : []));

describe('the duration of a step', () => {
  it.each([
    [250, false, 3.3],
    [250, true, 3.3],
    [0, false, 15],
  ])(
    'stretches a stream while a prompt of 1,500 tokens comes: a limit of %i ms, packed: %s',
    async (stepMs, packs, most) => {
      const { engine } = await warmEngine({ stepMs, packs });
      const before = engine.clock.now();
      engine.engine.submit(request('stream', { promptTokens: prompt(9, 50), maxTokens: 400 }));
      for (let step = 0; step < 20; step += 1) await engine.step();
      await engine.finish(request('long', { promptTokens: prompt(1500, 7), maxTokens: 5 }));
      const times = timesOf(engine.eventsOf('stream'));
      const gaps = times.slice(1).map((at, i) => at - times[i]!);
      const median = gaps.toSorted((a, b) => a - b)[gaps.length >> 1]!;
      const stretch = Math.max(...gaps) / median;
      expect(median).toBe(21);
      expect(stretch).toBeLessThan(most);
      expect(stretch).toBeGreaterThan(0.8 * most);
      expect(times[0]).toBeGreaterThan(before);
    },
  );

  it('bounds how long an abort waits', async () => {
    const { engine, onHalfOfNextCall } = await warmEngine();
    engine.engine.submit(request('long', { promptTokens: prompt(1500, 7) }));
    await engine.step();
    await engine.step();
    let abortedAt = 0;
    onHalfOfNextCall(() => {
      abortedAt = engine.clock.now();
      engine.engine.abort(['long']);
    });
    await engine.finish();
    expect(engine.endOf('long')).toMatchObject({ type: 'aborted', stage: 'prefill' });
    const end = engine.endOf('long') as { at: number };
    expect(end.at - abortedAt).toBeLessThanOrEqual(250);
    expect(abortedAt).toBeGreaterThan(0);
  });

  it('bounds how long a deadline waits', async () => {
    const { engine } = await warmEngine();
    const deadline = engine.clock.now() + 333;
    await engine.finish(request('long', { promptTokens: prompt(1500, 7), deadline }));
    const end = engine.endOf('long') as { at: number };
    expect(end).toMatchObject({ type: 'failed', code: 'deadline_exceeded', stage: 'prefill' });
    expect(end.at - deadline).toBeLessThanOrEqual(250);
  });

  it('counts the steps of other models whose sequences decode', async () => {
    const models = { first: { scheduling }, second: { capacity: 2048, scheduling, stepMs: 250 } };
    const during = (call: FakeCall) => engine.clock.advance(callMs(call));
    const engine: InProcessEngine = new InProcessEngine({
      models: { first: { ...models.first, during, capacity: 2048 }, second: { ...models.second, during } },
    });
    await engine.loaded;
    const generate = async (id: string, model: string, [length, first]: number[], maxTokens: number) => {
      const events: GenerationEvent[] = [];
      const overrides = { model, promptTokens: prompt(length!, first), maxTokens };
      for await (const event of engine.client.generate(
        [request(id, overrides)],
        new AbortController().signal,
      ))
        events.push(event);
      return timesOf(events);
    };
    await generate('warm', 'second', [1500, 1], 20);
    const stream = generate('stream', 'first', [9, 2], 300);
    await generate('long', 'second', [1500, 3], 1);
    const times = await stream;
    const gaps = times.slice(1).map((at, i) => at - times[i]!);
    expect(Math.min(...gaps)).toBe(21);
    expect(Math.max(...gaps.slice(10))).toBeGreaterThan(2 * 21);
    expect(Math.max(...gaps.slice(10))).toBeLessThanOrEqual(3.3 * 21);
    await engine.client.drain(0);
  });

  it('says how long the prompts not yet computed will take', async () => {
    const { engine } = await warmEngine();
    engine.engine.submit(request('long', { promptTokens: prompt(1000, 7), maxTokens: 1 }));
    const startedAt = engine.clock.now();
    await engine.step();
    const { prefillBacklogMs } = engine.steps.at(-1)!;
    const backlogAt = engine.clock.now();
    await engine.finish();
    const took = engine.clock.now() - backlogAt;
    expect(took).toBeGreaterThan(500);
    expect(prefillBacklogMs).toBeGreaterThan(0.7 * took);
    expect(prefillBacklogMs).toBeLessThan(1.6 * took);
    expect(engine.steps.at(-1)!.prefillBacklogMs).toBe(0);
    expect(backlogAt).toBeGreaterThan(startedAt);
  });
});
