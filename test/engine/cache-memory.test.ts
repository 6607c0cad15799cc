import { describe, expect, it } from 'vitest';
import { CacheMemory } from '../../src/engine/scheduler/cache-memory.ts';
import { EngineUnderTest } from '../support/engine-under-test.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { seededRandom } from '../support/seeded-random.ts';

const [slots, capacity, chunk, window] = [5, 160, 8, 24];
/** 1 byte a position without a window, 4 with one. */
const layers = [
  { window: null, bytesPerToken: 1 },
  { window, bytesPerToken: 4 },
];

function engineWith(budget: number, limit = capacity) {
  const memory = new CacheMemory({ budget, layers, slots, chunk });
  const scheduling = { prefillChunk: chunk, stepTokens: 40, capacity: limit, memory };
  const engine = new EngineUnderTest({ slots, capacity, scheduling });
  return { engine, memory };
}

let count = 0;
const request = (tokens: number | readonly number[], more: RequestOverrides = {}) => {
  count += 1;
  const promptTokens =
    typeof tokens === 'number' ? Array.from({ length: tokens }, (_, i) => 3 + ((count + i) % 200)) : tokens;
  return generationRequest({ id: `${count}`, promptTokens, maxTokens: 4, ...more });
};

const bytesOf = ({ engine, memory }: ReturnType<typeof engineWith>) =>
  engine.session.memory.reduce(
    (sum, { length, cut }) => sum + memory.bytes(length, Math.min(cut, length)),
    0,
  );
const cachedOf = (engine: EngineUnderTest, id: string) =>
  engine.eventsOf(id).reduce((sum, event) => sum + (event.type === 'reused' ? event.tokens : 0), 0);

const hasStarted = (engine: EngineUnderTest, { id }: { id: string }) =>
  engine.eventsOf(id).some(({ type }) => type === 'started');

describe('CacheMemory', () => {
  const memory = new CacheMemory({ budget: 300, layers, slots, chunk });

  it('counts windowed layers at their window and two chunks', () => {
    expect([memory.bytes(40, 0), memory.bytes(40, 24), memory.bytes(40, 34)]).toEqual([200, 200, 160]);
    expect(memory.reservation(40)).toBe(200);
    expect(memory.reservation(100)).toBe(100 + 4 * (window + 2 * chunk));
  });

  it('finds the longest sequence with room', () => {
    expect(memory.longest(1000)).toBe(300 - 4 * (window + 2 * chunk));
    expect(memory.longest(100)).toBe(100);
    expect(new CacheMemory({ budget: 3, layers, slots, chunk }).longest(100)).toBe(0);
  });
});

describe('an engine with a budget for its cache', () => {
  it('starts a request only when all that run may grow to their maximum', async () => {
    const { engine } = engineWith(450);
    const requests = [request(30, { maxTokens: 20 }), request(30, { maxTokens: 20 }), request(30)];
    for (const each of requests) engine.engine.submit(each);
    await engine.step();
    expect(engine.steps.at(-1)).toMatchObject({ running: 2, waiting: 1 });
    await engine.finish();
    for (const { id } of requests) expect(engine.endOf(id)).toMatchObject({ type: 'finished' });
  });

  it('lets other clients’ requests pass one that waits for memory, until they are as long as it is', async () => {
    // 230 bytes for the one that runs, 220 for the one that waits, 50 for each small one.
    const { engine } = engineWith(440);
    const small = () => request(8, { maxTokens: 2, client: 'small' });
    const running = request(30, { maxTokens: 40, client: 'large', stop: { ignoreEos: true } });
    // 60 tokens long, so six requests of 10 may pass.
    const waiting = request(40, { maxTokens: 20, client: 'other' });
    const behind = request(8, { maxTokens: 2, client: 'other' });
    engine.engine.submit(running);
    await engine.step();
    for (const each of [waiting, behind]) engine.engine.submit(each);
    const passing: string[] = [];
    // There is always another one, as from a client that never rests.
    while (!hasStarted(engine, waiting)) {
      const next = small();
      engine.engine.submit(next);
      for (let i = 0; i < 4; i += 1) await engine.step();
      if (hasStarted(engine, next) && !hasStarted(engine, waiting)) passing.push(next.id);
    }
    expect(passing).toHaveLength(6);
    expect(engine.endOf(running.id)).toMatchObject({ type: 'finished' });
    await engine.finish();
    const order = engine.events.flatMap(({ type, id }) => (type === 'started' ? [id] : []));
    expect(order.indexOf(behind.id)).toBeGreaterThan(order.indexOf(waiting.id));
    expect(engine.endOf(waiting.id)).toMatchObject({ type: 'finished' });
  });

  it('keeps finished contents within half of it, the last used longest', async () => {
    const { engine, memory } = engineWith(400);
    const first = request(30);
    await engine.finish(first);
    expect(memory.inUse).toBe(5 * 33);
    const second = request(20);
    await engine.finish(second);
    expect(memory.inUse).toBe(5 * 23);
    await engine.finish(request(first.promptTokens));
    const again = request(second.promptTokens);
    await engine.finish(again);
    expect(cachedOf(engine, `${count - 1}`)).toBe(0);
  });

  it('gives back what lies behind the windows of a long request, which later prompts then compute', async () => {
    const { engine, memory } = engineWith(320);
    const long = request(140, { maxTokens: 1 });
    await engine.finish(long);
    expect(engine.endOf(long.id)).toMatchObject({ type: 'finished' });
    for (const { cacheBytes } of engine.steps) expect(cacheBytes).toBeLessThanOrEqual(320);
    // More than half: not kept.
    expect(memory.inUse).toBe(0);
    expect(bytesOf({ engine, memory })).toBe(0);
  });

  it('reuses a beginning only from a slot that still holds what its windows read', async () => {
    const { engine } = engineWith(560);
    const long = request(120);
    await engine.finish(long);
    expect(engine.session.memory.some(({ cut }) => cut > window)).toBe(true);
    const whole = request([...long.promptTokens, ...engine.tokensOf(long.id), 9, 9]);
    await engine.finish(whole);
    expect(cachedOf(engine, whole.id)).toBeGreaterThan(100);
    const short = request(long.promptTokens.slice(0, 60));
    await engine.finish(short);
    expect(cachedOf(engine, short.id)).toBe(0);
    for (const each of [whole, short]) {
      const alone = new EngineUnderTest({ slots, capacity, scheduling: { prefillChunk: chunk } });
      await alone.finish({ ...each });
      expect(engine.tokensOf(each.id)).toEqual(alone.tokensOf(each.id));
    }
  });

  it('gives back all of a request that expires after a cut behind its prompt', async () => {
    const { engine, memory } = engineWith(330);
    const late = request(20, { maxTokens: 130, deadline: 1000 });
    engine.engine.submit(late);
    while (engine.session.memory.every(({ cut }) => cut <= 20)) await engine.step();
    engine.clock.advance(2000);
    await engine.step();
    expect(engine.endOf(late.id)).toMatchObject({ type: 'failed', code: 'deadline_exceeded' });
    expect(memory.inUse).toBe(0);
    expect(bytesOf({ engine, memory })).toBe(0);
    expect(engine.faults).toEqual([]);
  });

  it('keeps no copy of a sequence that has moved after a cut', async () => {
    const { engine, memory } = engineWith(420);
    const [short, long] = [request(10, { maxTokens: 60 }), request(12, { maxTokens: 100 })];
    engine.engine.submit(short);
    engine.engine.submit(long);
    while (engine.endOf(short.id)?.type !== 'finished') await engine.step();
    for (let i = 0; i < 3; i++) {
      await engine.step();
      expect(bytesOf({ engine, memory })).toBeLessThanOrEqual(420);
    }
    await engine.finish();
    expect(engine.endOf(long.id)).toMatchObject({ type: 'finished' });
    expect(engine.faults).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5, 6])('never exceeds it and changes no token (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    const budget = 330 + random.below(500);
    const limit = new CacheMemory({ budget, layers, slots, chunk }).longest(capacity);
    const under = engineWith(budget, limit);
    const { engine } = under;
    const prompts: (readonly number[])[] = [request(90).promptTokens];
    const requests: ReturnType<typeof request>[] = [];
    let [reused, cuts] = [0, 0];
    const step = async () => {
      await engine.step();
      // Copies of a step may stand next to their sources until the end of the step.
      expect(bytesOf(under)).toBeLessThanOrEqual(budget);
      cuts += engine.session.memory.filter(({ cut }) => cut > 0).length;
    };
    for (let i = 0; i < 80; i++) {
      const start = prompts.at(-1 - random.below(Math.min(6, prompts.length)))!;
      const kept = random.next() < 0.5 ? start : start.slice(0, 1 + random.below(start.length));
      const added = Array.from({ length: random.below(40) }, () => 5 + random.below(200));
      const promptTokens = [...kept, ...added].slice(0, limit - 20);
      prompts.push(promptTokens);
      const each = request(promptTokens, {
        maxTokens: 1 + random.below(20),
        isReproducible: random.next() < 0.5,
      });
      requests.push(each);
      engine.engine.submit(each);
      for (let steps = random.below(8); steps > 0 && engine.engine.hasWork; steps--) await step();
      if (random.next() < 0.05) engine.engine.abort([each.id]);
      const done = engine.tokensOf(requests[random.below(i + 1)]!.id);
      if (done.length > 0) prompts.push([...promptTokens, ...done].slice(0, limit - 20));
    }
    for (let steps = 0; engine.engine.hasWork; steps++) {
      expect(steps).toBeLessThan(10_000);
      await step();
    }
    expect(engine.faults).toEqual([]);
    for (const each of requests) {
      const end = engine.endOf(each.id)!;
      const alone = new EngineUnderTest({ slots, capacity, scheduling: { prefillChunk: chunk } });
      await alone.finish({ ...each });
      const expected = alone.tokensOf(each.id);
      const tokens = engine.tokensOf(each.id);
      expect(tokens).toEqual(end.type === 'finished' ? expected : expected.slice(0, tokens.length));
      reused += cachedOf(engine, each.id);
    }
    expect(reused).toBeGreaterThan(100);
    expect(cuts).toBeGreaterThan(0);
  });
});
