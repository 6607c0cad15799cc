import { describe, expect, it } from 'vitest';
import { EngineUnderTest, type EngineUnderTestOptions } from '../support/engine-under-test.ts';
import type { FakeCall } from '../support/fake-session.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { seededRandom } from '../support/seeded-random.ts';

const system = Array.from({ length: 40 }, (_, i) => 10 + i);
const request = (id: string, more: RequestOverrides = {}) =>
  generationRequest({
    id,
    promptTokens: [...system, id.charCodeAt(0)],
    maxTokens: 4,
    stop: { ignoreEos: true },
    ...more,
  });

async function alone(options: EngineUnderTestOptions, overrides: RequestOverrides): Promise<number[]> {
  const engine = new EngineUnderTest(options);
  await engine.finish(request('alone', { ...overrides, id: 'alone' }));
  return engine.tokensOf('alone');
}

const cachedOf = (engine: EngineUnderTest, id: string) => engine.lifeOf(request(id)).cachedTokens;

/** Number of prompt tokens that the session computed. */
const computed = (engine: EngineUnderTest) =>
  engine.steps.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0);

describe('prefix reuse, decoder-only', () => {
  const options = { slots: 8, capacity: 128, scheduling: { prefillChunk: 16, stepTokens: 64 } };

  it('computes what requests of one batch begin with once', async () => {
    const engine = new EngineUnderTest(options);
    const ids = [...'abcdefgh'];
    await engine.finish(...ids.map((id) => request(id)));
    // Each request computes its last two tokens: one token alone would give slightly different numbers.
    expect(computed(engine)).toBe(system.length + 1 + 2 * (ids.length - 1));
    expect(ids.map((id) => cachedOf(engine, id))).toEqual([0, 39, 39, 39, 39, 39, 39, 39]);
    for (const id of ids) {
      const { promptTokens } = request(id);
      expect(engine.tokensOf(id)).toEqual(await alone(options, { promptTokens }));
    }
  });

  it('goes on with a finished conversation', async () => {
    const engine = new EngineUnderTest(options);
    await engine.finish(request('a'));
    const history = [...request('a').promptTokens, ...engine.tokensOf('a'), 200, 201];
    await engine.finish(request('b', { promptTokens: history }));
    // Cached: all but the new tokens and the last generated one, which the decoder has not read.
    expect(cachedOf(engine, 'b')).toBe(system.length + 1 + 3);
    expect(engine.tokensOf('b')).toEqual(await alone(options, { promptTokens: history }));
  });

  it('shares whole chunks of prompts where the same numbers are promised', async () => {
    const rounding = { ...options, isRounding: true };
    const engine = new EngineUnderTest(rounding);
    const same = { isReproducible: true };
    await engine.finish(request('a', same), request('b', same));
    expect(['a', 'b'].map((id) => cachedOf(engine, id))).toEqual([0, 32]);
    // The slot holds 45 tokens of the first turn; the last of them were decoded, not prefilled.
    const turn = [...request('a').promptTokens, ...engine.tokensOf('a'), ...system, 200];
    await engine.finish(request('c', { ...same, promptTokens: turn }));
    expect(cachedOf(engine, 'c')).toBe(32);
    for (const [id, promptTokens] of [
      ['b', request('b').promptTokens],
      ['c', turn],
    ] as const) {
      expect(engine.tokensOf(id)).toEqual(await alone(rounding, { promptTokens }));
    }
  });

  it('shares every token where rows are equal, whatever is promised', async () => {
    const engine = new EngineUnderTest(options);
    const same = { isReproducible: true };
    await engine.finish(request('a', same));
    const turn = [...request('a').promptTokens, ...engine.tokensOf('a'), 200, 201];
    await engine.finish(request('b', { ...same, promptTokens: turn }));
    expect(cachedOf(engine, 'b')).toBe(system.length + 1 + 3);
    expect(engine.tokensOf('b')).toEqual(await alone(options, { promptTokens: turn }));
  });

  it('takes nothing over that one of another kind has cut elsewhere, or taken over itself', async () => {
    const rounding = { ...options, isRounding: true };
    const engine = new EngineUnderTest(rounding);
    await engine.finish(request('a', { maxTokens: 20 }));
    const turn = [...request('a').promptTokens, ...engine.tokensOf('a'), ...system];
    await engine.finish(request('b', { promptTokens: turn }));
    expect(cachedOf(engine, 'b')).toBe(60);
    const same = { promptTokens: [...turn, 201], isReproducible: true };
    await engine.finish(request('c', same));
    expect(cachedOf(engine, 'c')).toBe(32);
    expect(engine.tokensOf('c')).toEqual(await alone(rounding, same));
  });

  it('keeps a conversation whose slot is needed by those that go on', async () => {
    const engine = new EngineUnderTest(options);
    const other = Array.from({ length: 20 }, (_, i) => 100 + i);
    for (const each of [
      request('a', { maxTokens: 2 }),
      request('b', { promptTokens: other, maxTokens: 12 }),
    ]) {
      engine.engine.submit(each);
    }
    await engine.finish();
    await engine.finish(request('c', { promptTokens: [...request('a').promptTokens, 7, 8] }));
    expect(cachedOf(engine, 'c')).toBeGreaterThanOrEqual(system.length + 1);
  });

  it('does not share between salts', async () => {
    const engine = new EngineUnderTest(options);
    await engine.finish(request('a', { cacheSalt: 'one' }), request('b', { cacheSalt: 'two' }));
    await engine.finish(request('c', { cacheSalt: 'two' }));
    expect(['a', 'b', 'c'].map((id) => cachedOf(engine, id))).toEqual([0, 0, 39]);
  });

  it('computes prompts that are to be scored', async () => {
    const engine = new EngineUnderTest(options);
    await engine.finish(request('a'));
    await engine.finish(request('b', { promptLogprobs: 1 }));
    expect(cachedOf(engine, 'b')).toBe(0);
  });

  it('goes on without a request that is given up half-way', async () => {
    const engine = new EngineUnderTest(options);
    for (const id of ['a', 'b', 'c']) engine.engine.submit(request(id));
    await engine.step();
    engine.engine.abort(['a']);
    await engine.finish();
    expect(engine.endOf('a')).toMatchObject({ type: 'aborted', stage: 'prefill' });
    for (const id of ['b', 'c']) {
      expect(engine.tokensOf(id)).toEqual(await alone(options, { promptTokens: request(id).promptTokens }));
    }
  });

  it('trusts nothing that a failed call has left', async () => {
    let calls = 0;
    const during = ({ kind }: FakeCall) => {
      if (kind === 'prefill' && ++calls === 2) throw new Error('no memory');
    };
    const engine = new EngineUnderTest({ ...options, during });
    await engine.finish(request('a'), request('b'));
    expect(engine.endOf('a')).toMatchObject({ type: 'failed' });
    expect(cachedOf(engine, 'b')).toBe(0);
    expect(engine.tokensOf('b')).toEqual(await alone(options, { promptTokens: request('b').promptTokens }));
  });
});

describe('prefix reuse, encoder-decoder', () => {
  const options = { slots: 4, encoderCapacity: 64, scheduling: { stepTokens: 64, prefillChunk: 64 } };

  it('encodes equal prompts once, those of a batch and of finished requests', async () => {
    const engine = new EngineUnderTest(options);
    const same = { promptTokens: system };
    await engine.finish(request('a', same), request('b', same), request('c', { ...same, cacheSalt: 'x' }));
    await engine.finish(request('d', same), request('e'));
    expect(['a', 'b', 'c', 'd', 'e'].map((id) => cachedOf(engine, id))).toEqual([0, 40, 0, 40, 0]);
    for (const id of ['a', 'b', 'c', 'd']) expect(engine.tokensOf(id)).toEqual(await alone(options, same));
    expect(engine.tokensOf('e')).toEqual(await alone(options, { promptTokens: request('e').promptTokens }));
  });
});

describe.each<[string, EngineUnderTestOptions]>([
  ['decoder-only', { slots: 5, capacity: 160, scheduling: { prefillChunk: 16, stepTokens: 40 } }],
  ['packed', { slots: 5, capacity: 160, packs: true, scheduling: { prefillChunk: 16, stepTokens: 40 } }],
  [
    'rounding',
    { slots: 5, capacity: 160, isRounding: true, scheduling: { prefillChunk: 16, stepTokens: 40 } },
  ],
  [
    'odd chunks',
    { slots: 5, capacity: 160, isRounding: true, scheduling: { prefillChunk: 19, stepTokens: 21 } },
  ],
  ['encoder-decoder', { slots: 5, encoderCapacity: 160, scheduling: { prefillChunk: 64, stepTokens: 64 } }],
])('prefix reuse at random, %s', (_, options) => {
  it.each([1, 2, 3, 4, 5, 6])(
    'changes no token, whoever aborts, fails or comes when (seed %i)',
    async (seed) => {
      const random = seededRandom(seed);
      const during = ({ kind }: FakeCall) => {
        if (random.next() < 0.01 && kind !== 'copySlot') throw new Error('now and then');
      };
      const engine = new EngineUnderTest({ ...options, during });
      const prompts: number[][] = [[...system], system.map((token) => token + 100)];
      const requests: ReturnType<typeof request>[] = [];
      for (let i = 0; i < 80; i++) {
        const start = prompts.at(-1 - random.below(Math.min(8, prompts.length)))!;
        const kept = random.next() < 0.4 ? start : start.slice(0, 1 + random.below(start.length));
        const added = Array.from({ length: Math.max(0, random.below(30) - 10) }, () => 5 + random.below(200));
        const promptTokens = random.next() < 0.3 ? start : [...kept, ...added].slice(0, 120);
        prompts.push(promptTokens);
        const each = request(`${i}`, {
          promptTokens,
          maxTokens: 1 + random.below(12),
          cacheSalt: random.next() < 0.8 ? '' : 'x',
          isReproducible: random.next() < 0.7,
          promptLogprobs: random.next() < 0.1 ? 0 : null,
          completionPrefix:
            options.encoderCapacity !== undefined && random.next() < 0.4
              ? Array.from({ length: 1 + random.below(20) }, () => 5 + random.below(200))
              : [],
        });
        requests.push(each);
        engine.engine.submit(each);
        for (let steps = random.below(6); steps > 0 && engine.engine.hasWork; steps--) {
          await engine.step();
          if (random.next() < 0.05) engine.engine.abort([`${random.below(i + 1)}`]);
        }
        const done = engine.tokensOf(`${random.below(i + 1)}`);
        if (done.length > 0) prompts.push([...promptTokens, ...done].slice(0, 120));
      }
      await engine.finish();
      let reused = 0;
      for (const each of requests) {
        if (options.isRounding && !each.isReproducible) continue;
        const tokens = engine.tokensOf(each.id);
        const end = engine.endOf(each.id)!;
        const expected = await alone(options, each);
        expect(tokens).toEqual(end.type === 'finished' ? expected : expected.slice(0, tokens.length));
        if (end.type === 'finished') reused += cachedOf(engine, each.id);
      }
      expect(reused).toBeGreaterThan(50);
      expect(engine.steps.at(-1)).toMatchObject({ waiting: 0, running: 0 });
    },
  );
});
