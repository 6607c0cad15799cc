import { describe, expect, it } from 'vitest';
import { EngineUnderTest, type EngineUnderTestOptions } from '../support/engine-under-test.ts';
import {
  FakeSession,
  type FakeSessionOptions,
  hashedLogits,
  type LogitsOf,
} from '../support/fake-session.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { ManualClock } from '../support/manual-clock.ts';

const vocabSize = 263;
const logitsOf = hashedLogits(vocabSize);
/** Agrees with the model except behind every eighth token or so. */
const similar: LogitsOf = (encoded, decoded) => {
  const logits = logitsOf(encoded, decoded);
  return (decoded.at(-1) ?? 0) % 8 === 0 ? logits.reverse() : logits;
};
const prompt = (seed: number, length = 12) =>
  Array.from({ length }, (_, i) => 3 + ((seed * 31 + i * 7) % 250));
const request = (id: string, more: RequestOverrides = {}) =>
  generationRequest({
    id,
    promptTokens: prompt(id.charCodeAt(0)),
    maxTokens: 40,
    stop: { ignoreEos: true },
    ...more,
  });

interface Pair extends Omit<EngineUnderTestOptions, 'draft'> {
  draft?: FakeSessionOptions;
  /** Milliseconds of a call. */
  modelMs?: number;
  draftMs?: number;
}

/** An engine with a draft, on a clock that only calls advance. */
function drafting({ draft, modelMs = 10, draftMs = 1, ...options }: Pair = {}) {
  const clock = new ManualClock();
  const shared = { capacity: 128, vocabSize, packs: true, ...options };
  const session = new FakeSession({
    ...shared,
    logitsOf: similar,
    ...draft,
    during: (call) => {
      clock.advance(draftMs);
      return draft?.during?.(call);
    },
  });
  const engine = new EngineUnderTest({
    logitsOf,
    ...shared,
    clock,
    draft: session,
    during: () => clock.advance(modelMs),
  });
  return { engine, session, clock };
}
const alone = (options: EngineUnderTestOptions = {}) =>
  new EngineUnderTest({ capacity: 128, vocabSize, packs: true, logitsOf, ...options });

const encoder = { packs: false, encoderCapacity: 64 };
const told = (engine: EngineUnderTest, id: string) =>
  engine
    .eventsOf(id)
    .flatMap((event) => (event.type === 'tokens' || event.type === 'finished' ? [{ ...event, at: 0 }] : []));

describe.each<[string, FakeSessionOptions]>([
  ['decoder-only', {}],
  ['an encoder-decoder', encoder],
])('an engine with a draft: %s', (_, family) => {
  it.each<[string, RequestOverrides]>([
    ['to its end', {}],
    ['up to a stop string', { stop: { strings: ['a', 'b', 'c'], ignoreEos: true } }],
    ['with log probabilities', { logprobs: 2 }],
    ['sampled', { sampling: { temperature: 1.5, seed: [7, 0] } }],
    ['with penalties', { sampling: { frequencyPenalty: 1.9, repetitionPenalty: 1.2, temperature: 0.7 } }],
    ['with forbidden words and a bias', { sampling: { badWords: [[5, 6], [9]], logitBias: [[77, 3]] } }],
    ['with a minimum length', { stop: { minTokens: 20 } }],
  ])('generates the same in fewer steps, %s', async (_, more) => {
    const { engine, session } = drafting(family);
    const slow = alone(family);
    const requests = ['a', 'b', 'c'].map((id) => request(id, more));
    await engine.finish(...requests);
    await slow.finish(...requests);
    for (const { id } of requests) expect(told(engine, id)).toEqual(told(slow, id));
    expect(engine.faults).toEqual([]);
    expect(session.calls.length).toBeGreaterThan(0);
    const lives = requests.map((own) => engine.lifeOf(own));
    const right = lives.reduce((sum, life) => sum + life.rightGuesses, 0);
    expect(right).toBeGreaterThan(lives.reduce((sum, life) => sum + life.generatedTokens, 0) / 3);
    if (slow.steps.length > 20) expect(engine.steps.length).toBeLessThan(0.6 * slow.steps.length);
  });

  it('fits sequences that come, go and are aborted', async () => {
    const { engine } = drafting({ ...family, slots: 4 });
    const slow = alone({ ...family, slots: 4 });
    const ids = [...'abcdefghij'];
    const lengths = (i: number) => ({ maxTokens: 5 + ((i * 17) % 50) });
    for (const one of [engine, slow]) {
      for (const [i, id] of ids.entries()) {
        one.engine.submit(request(id, lengths(i)));
        for (let step = 0; step < 3; step++) await one.step();
        if (id === 'd' || id === 'f') one.engine.abort([id]);
      }
      await one.finish();
    }
    for (const id of ids.filter((id) => id !== 'd' && id !== 'f')) {
      expect(engine.tokensOf(id)).toEqual(slow.tokensOf(id));
      expect(engine.tokensOf(id).length).toBeGreaterThan(4);
    }
    expect(engine.faults).toEqual([]);
  });

  it('fills a slot to its last position', async () => {
    const { engine } = drafting({ ...family, capacity: 30, draft: { capacity: 30 } });
    const slow = alone({ ...family, capacity: 30 });
    await engine.finish(request('a', { maxTokens: 100 }), request('b', { maxTokens: 100 }));
    await slow.finish(request('a', { maxTokens: 100 }), request('b', { maxTokens: 100 }));
    for (const id of ['a', 'b']) expect(told(engine, id)).toEqual(told(slow, id));
    expect(engine.lifeOf(request('a')).rightGuesses).toBeGreaterThan(0);
  });

  it('goes on without a draft that fails, and says so once', async () => {
    let calls = 0;
    const during = () => {
      calls += 1;
      if (calls === 12) throw new Error('out of memory');
    };
    const { engine } = drafting({ ...family, draft: { during } });
    const slow = alone(family);
    await engine.finish(request('a'), request('b'));
    await slow.finish(request('a'), request('b'));
    for (const id of ['a', 'b']) expect(told(engine, id)).toEqual(told(slow, id));
    expect(engine.faults).toEqual([new Error('out of memory')]);
    expect(calls).toBe(12);
  });

  it('takes next to no time if it does not pay, but tries again with later sequences', async () => {
    const { engine, session, clock } = drafting({ ...family, draftMs: 9 });
    await engine.finish(request('a'));
    const [calls, at] = [session.calls.length, clock.now()];
    for (const id of 'bcdefghijkl') await engine.finish(request(id, { maxTokens: 100 }));
    const spent = 9 * (session.calls.length - calls);
    expect(spent / (clock.now() - at)).toBeLessThan(0.02);
    expect(spent).toBeGreaterThan(0);
  });

  it('stops when its proposals become wrong, and begins again when they are right', async () => {
    let isRight = true;
    const wrong: LogitsOf = (...of) => logitsOf(...of).reverse();
    const { engine, session } = drafting({
      ...family,
      draft: { logitsOf: (...of) => (isRight ? logitsOf : wrong)(...of) },
    });
    const perStep = async (ids: string) => {
      const [calls, steps] = [session.calls.length, engine.steps.length];
      for (const id of ids) await engine.finish(request(id, { maxTokens: 100 }));
      return (session.calls.length - calls) / (engine.steps.length - steps);
    };
    expect(await perStep('abc')).toBeGreaterThan(3);
    isRight = false;
    await perStep('defghi');
    expect(await perStep('jklm')).toBeLessThan(0.3);
    isRight = true;
    await perStep('nopqrstuvwxyz');
    expect(await perStep('ABC')).toBeGreaterThan(3);
  });

  it('counts its time as decoding', async () => {
    const { engine } = drafting(family);
    await engine.finish(request('a'));
    const usual = Math.max(...engine.steps.map(({ decodeMs }) => decodeMs ?? 0));
    expect(usual).toBeGreaterThan(12);
  });
});

it('reads what it can take over from a finished sequence only once', async () => {
  const { engine, session } = drafting();
  await engine.finish(request('a', { promptTokens: prompt(1, 60), maxTokens: 10 }));
  const turn = [...prompt(1, 60), ...engine.tokensOf('a'), 50, 51];
  const before = session.calls.length;
  await engine.finish(request('b', { promptTokens: turn, maxTokens: 20 }));
  const read = session.calls.slice(before).filter(({ tokens }) => tokens > 12);
  expect(read).toEqual([]);
  expect(engine.lifeOf(request('b')).rightGuesses).toBeGreaterThan(0);
  await engine.finish(request('c', { promptTokens: turn, maxTokens: 20, cacheSalt: 'other' }));
  expect(session.calls.some(({ kind, tokens }) => kind === 'prefill' && tokens > 12)).toBe(true);
});

it('does not follow requests that name tokens it does not know', async () => {
  const { engine, session } = drafting({ draft: { vocabSize: 200, logitsOf: hashedLogits(200) } });
  await engine.finish(request('a', { promptTokens: [220, ...prompt(1)] }));
  expect(session.calls).toEqual([]);
  const allowedTokens = Array.from({ length: 190 }, (_, token) => token);
  const promptTokens = prompt(1).map((token) => token % 190);
  await engine.finish(request('b', { promptTokens, sampling: { allowedTokens } }));
  expect(session.calls.length).toBeGreaterThan(0);
  expect(engine.faults).toEqual([]);
});

it('leaves steps with prompts as they are', async () => {
  const { engine, session } = drafting({ scheduling: { prefillChunk: 4 } });
  engine.engine.submit(request('a'));
  for (let step = 0; step < 8; step++) await engine.step();
  engine.engine.submit(request('b', { promptTokens: prompt(5, 40) }));
  const calls = session.calls.length;
  for (let step = 0; step < 10; step++) await engine.step();
  expect(engine.steps.at(-1)!.prefillTokens).toBe(4);
  expect(session.calls.length).toBe(calls);
});
