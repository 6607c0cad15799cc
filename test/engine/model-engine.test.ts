import { describe, expect, it } from 'vitest';
import { EngineUnderTest, type EngineUnderTestOptions } from '../support/engine-under-test.ts';
import type { FakeCall } from '../support/fake-session.ts';
import { hashedLogits } from '../support/fake-session.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';

const endless = { ignoreEos: true };
const prompt = (length: number, first = 5) => Array.from({ length }, (_, i) => first + i);
const request = (id: string, more: RequestOverrides = {}) =>
  generationRequest({ id, promptTokens: prompt(4, id.charCodeAt(0)), maxTokens: 5, stop: endless, ...more });

async function tokensAlone(options: EngineUnderTestOptions, overrides: RequestOverrides): Promise<number[]> {
  const engine = new EngineUnderTest(options);
  await engine.finish(request('a', overrides));
  return engine.tokensOf('a');
}

describe.each([
  ['decoder-only', {}],
  ['packed', { packs: true }],
  ['encoder-decoder', { encoderCapacity: 32 }],
])('ModelEngine, %s', (_, kind) => {
  it('generates what the model says, greedily, token by token', async () => {
    const promptTokens = prompt(11);
    const expected: number[] = [];
    const logitsOf = hashedLogits(263);
    for (let i = 0; i < 5; i++) {
      const hasEncoder = 'encoderCapacity' in kind;
      const logits = hasEncoder
        ? logitsOf(promptTokens, [0, ...expected])
        : logitsOf([], [...promptTokens, ...expected]);
      expected.push(logits.indexOf(Math.max(...logits)));
    }
    expect(await tokensAlone(kind, { promptTokens })).toEqual(expected);
  });

  it('tells of a request in order: started, prefilled, tokens, one end', async () => {
    const engine = new EngineUnderTest(kind);
    await engine.finish(request('a', { maxTokens: 2 }));
    const types = engine.events.map(({ type }) => type);
    expect(types).toEqual(['started', 'prefilled', 'tokens', 'tokens', 'finished']);
  });

  it('runs a batch to the same tokens as each request alone', async () => {
    const engine = new EngineUnderTest({ ...kind, slots: 3 });
    const overrides = [3, 9, 1, 14, 6, 2, 20].map((length, i) => ({
      promptTokens: prompt(length, 10 * i),
      maxTokens: 1 + ((i * 5) % 7),
      sampling: i % 2 === 0 ? {} : { temperature: 1, topK: 20, topP: 0.9, seed: [i, 1] as const },
    }));
    await engine.finish(...overrides.map((each, i) => request(`request ${i}`, each)));
    for (const [i, each] of overrides.entries()) {
      expect(engine.tokensOf(`request ${i}`)).toEqual(await tokensAlone(kind, each));
    }
    expect(engine.steps.at(-1)).toMatchObject({ waiting: 0, running: 0, cacheUsage: 0 });
  });

  it('decodes a row again whose grammar is late, and the others go on meanwhile', async () => {
    const overrides = [3, 9, 5].map((length, i) => ({ promptTokens: prompt(length, 10 * i), maxTokens: 6 }));
    let left = 3;
    const engine = new EngineUnderTest({
      ...kind,
      slots: 3,
      isLate: (slot) => slot === 1 && left-- > 0,
    });
    await engine.finish(...overrides.map((each, i) => request(`request ${i}`, each)));
    for (const [i, each] of overrides.entries()) {
      expect(engine.tokensOf(`request ${i}`)).toEqual(await tokensAlone(kind, each));
    }
    const ends = engine.events.filter(({ type }) => type === 'finished').map(({ id }) => id);
    expect(ends).toEqual(['request 0', 'request 2', 'request 1']);
    expect(left).toBeLessThan(0);
  });

  it('gives an aborted request’s slot to the next in the same step', async () => {
    const engine = new EngineUnderTest({ ...kind, slots: 1 });
    engine.engine.submit(request('a'));
    engine.engine.submit(request('b'));
    engine.engine.submit(request('c'));
    await engine.step();
    engine.engine.abort(['a', 'c', 'unknown']);
    const events = await engine.step();
    expect(events.map(({ type, id }) => `${type} ${id}`).slice(0, 3)).toEqual([
      'aborted a',
      'aborted c',
      'started b',
    ]);
    expect(engine.endOf('a')).toMatchObject({ stage: 'decode' });
    expect(engine.lifeOf(request('a')).generatedTokens).toBe('encoderCapacity' in kind ? 0 : 1);
    expect(engine.endOf('c')).toMatchObject({ stage: 'queued' });
    expect(engine.lifeOf(request('c')).startedAt).toBeNull();
    await engine.finish();
    expect(engine.tokensOf('b')).toEqual(
      await tokensAlone(kind, { promptTokens: request('b').promptTokens }),
    );
  });

  it('fails only the requests of the call that threw', async () => {
    let poisoned = 'packs' in kind ? 2 : 1;
    const during = ({ kind: call, slots }: FakeCall) => {
      if (call !== 'decode' && slots.includes(1) && poisoned-- > 0) throw new Error('secret path /models/x');
    };
    const engine = new EngineUnderTest({ ...kind, during });
    await engine.finish(request('a'), request('b'), request('c'));
    expect(engine.endOf('b')).toMatchObject({ type: 'failed', code: 'engine_failure', stage: 'prefill' });
    expect(JSON.stringify(engine.endOf('b'))).not.toContain('secret');
    expect(String(engine.faults[0])).toContain('secret');
    for (const id of ['a', 'c']) {
      expect(engine.tokensOf(id)).toEqual(
        await tokensAlone(kind, { promptTokens: request(id).promptTokens }),
      );
    }
    expect(engine.steps.at(-1)!.running).toBe(0);
  });

  it('fails the whole batch when its decode throws, and goes on with the others', async () => {
    let decodes = 0;
    const during = ({ kind: call }: FakeCall) => {
      if (call === 'decode' && decodes++ === 1) throw new Error('out of memory');
    };
    const engine = new EngineUnderTest({ ...kind, slots: 2, during });
    await engine.finish(request('a'), request('b'), request('c'));
    const ends = ['a', 'b', 'c'].map((id) => engine.endOf(id)!.type);
    expect(ends).toEqual(['failed', 'failed', 'finished']);
    expect(engine.endOf('a')).toMatchObject({ code: 'engine_failure', stage: 'decode' });
    expect(engine.faults).toHaveLength(1);
  });

  it('fails a request whose logits are no numbers, by name, and no other', async () => {
    const logitsOf = hashedLogits(263);
    const engine = new EngineUnderTest({
      ...kind,
      logitsOf: (encoded, decoded) => {
        const logits = logitsOf(encoded, decoded);
        const isBad = [...encoded, ...decoded].includes('b'.charCodeAt(0)) && decoded.length % 4 === 2;
        if (isBad) logits[17] = Number.NaN;
        return logits;
      },
    });
    // The prompts are far enough apart that only b's contains the token.
    const far = (id: string, first: number) => request(id, { promptTokens: prompt(4, first) });
    await engine.finish(far('a', 10), far('b', 'b'.charCodeAt(0)), far('c', 200));
    expect(engine.endOf('b')).toMatchObject({ type: 'failed', code: 'engine_failure', stage: 'decode' });
    expect(engine.endOf('b')).toHaveProperty('message', expect.stringMatching(/NaN for token 17/));
    expect(['a', 'c'].map((id) => engine.endOf(id)!.type)).toEqual(['finished', 'finished']);
  });

  it('fails a request whose cache could not be moved, and no other', async () => {
    let copies = 0;
    const during = ({ kind: call }: FakeCall) => {
      if (call === 'copySlot' && copies++ === 0) throw new Error('no copy');
    };
    const engine = new EngineUnderTest({ ...kind, slots: 3, during });
    await engine.finish(
      request('a', { maxTokens: 2 }),
      request('b', { maxTokens: 9 }),
      request('c', { maxTokens: 9 }),
    );
    expect(engine.endOf('c')).toMatchObject({ type: 'failed', code: 'engine_failure' });
    const alone = await tokensAlone(kind, { promptTokens: request('b').promptTokens, maxTokens: 9 });
    expect(engine.tokensOf('b')).toEqual(alone);
  });

  it('gives up at a deadline, queued or running', async () => {
    const engine = new EngineUnderTest({ ...kind, slots: 1 });
    engine.engine.submit(request('a', { deadline: 100, maxTokens: 50 }));
    engine.engine.submit(request('b', { queueDeadline: 20 }));
    await engine.step();
    engine.clock.advance(21);
    await engine.step();
    expect(engine.endOf('b')).toMatchObject({ type: 'failed', code: 'deadline_exceeded', stage: 'queued' });
    engine.clock.advance(80);
    await engine.step();
    expect(engine.endOf('a')).toMatchObject({ type: 'failed', code: 'deadline_exceeded', stage: 'decode' });
    expect(engine.engine.hasWork).toBe(false);
  });

  it('refuses what cannot fit', async () => {
    const engine = new EngineUnderTest({ ...kind, capacity: 30 });
    await engine.finish(request('a', { promptTokens: prompt(33) }));
    expect(engine.events).toEqual([
      expect.objectContaining({ type: 'failed', code: 'invalid_request', stage: 'queued' }),
    ]);
  });

  it('aborts everything when it closes, then frees the session', async () => {
    const engine = new EngineUnderTest({ ...kind, slots: 1 });
    engine.engine.submit(request('a'));
    engine.engine.submit(request('b'));
    await engine.step();
    engine.engine.submit(request('c'));
    const { events, step } = await engine.engine.close();
    expect(events.map(({ type, id }) => `${type} ${id}`)).toEqual(['aborted a', 'aborted b', 'aborted c']);
    expect(step).toMatchObject({ waiting: 0, running: 0 });
    expect(engine.session.isClosed).toBe(true);
  });

  it('measures its phases and the moments of a request', async () => {
    const during = ({ kind: call }: FakeCall) => engine.clock.advance(call === 'decode' ? 3 : 10);
    const engine: EngineUnderTest = new EngineUnderTest({ ...kind, during });
    engine.clock.advance(100);
    await engine.finish(
      request('a', { arrivedAt: 90, maxTokens: 3 }),
      request('b', { arrivedAt: 95, maxTokens: 3 }),
    );
    const prefillMs = 'packs' in kind ? 10 : 20;
    expect(engine.steps[0]).toMatchObject({
      prefillMs,
      decodeMs: null,
      decodeRows: 0,
      prefillTokens: 8,
      running: 2,
    });
    expect(engine.steps[1]).toMatchObject({ prefillMs: null, decodeMs: 3, decodeRows: 2, prefillTokens: 0 });
    const isDecoderOnly = !('encoderCapacity' in kind);
    expect(engine.lifeOf(request('b'))).toMatchObject({
      startedAt: 100,
      prefilledAt: 100 + prefillMs,
      firstTokenAt: isDecoderOnly ? 100 + prefillMs : 123,
      lastTokenAt: isDecoderOnly ? 106 + prefillMs : 129,
      end: { at: isDecoderOnly ? 106 + prefillMs : 129 },
      generatedTokens: 3,
    });
  });
});

describe('ModelEngine', () => {
  it('prefills in chunks while others decode', async () => {
    const engine = new EngineUnderTest({ scheduling: { prefillChunk: 4, stepTokens: 8 } });
    engine.engine.submit(request('a', { maxTokens: 30 }));
    await engine.step();
    engine.engine.submit(request('b', { promptTokens: prompt(10, 50) }));
    for (let i = 0; i < 3; i++) await engine.step();
    const kinds = engine.session.calls.map(({ kind }) => kind);
    expect(kinds).toEqual(['prefill', 'prefill', 'decode', 'prefill', 'decode', 'prefill', 'decode']);
    expect(engine.tokensOf('a')).toHaveLength(4);
    expect(engine.tokensOf('b')).toHaveLength(1);
  });

  it('computes chunks and the rows of others in one run, if the session packs', async () => {
    const during = ({ kind }: FakeCall) => engine.clock.advance(kind === 'decode' ? 3 : 10);
    const scheduling = { prefillChunk: 4, stepTokens: 8 };
    const engine: EngineUnderTest = new EngineUnderTest({ scheduling, packs: true, during });
    engine.engine.submit(request('a', { maxTokens: 30 }));
    await engine.step();
    await engine.step();
    engine.engine.submit(request('b', { promptTokens: prompt(10, 50) }));
    for (let i = 0; i < 3; i++) await engine.step();
    const kinds = engine.session.calls.map(({ kind }) => kind);
    expect(kinds).toEqual(['prefill', 'decode', 'pack', 'pack', 'pack']);
    expect(engine.session.calls.at(-1)).toMatchObject({ slots: [1, 0], tokens: 3 });
    const { prefillMs, decodeMs, ...step } = engine.steps.at(-1)!;
    expect(step).toMatchObject({ decodeRows: 1, prefillTokens: 2 });
    expect(prefillMs! + decodeMs!).toBeCloseTo(10);
    expect(decodeMs).toBeGreaterThan(2);
    expect(decodeMs).toBeLessThan(9);
    expect(engine.tokensOf('a')).toHaveLength(5);
    expect(engine.tokensOf('b')).toHaveLength(1);
  });

  it('computes a scored prompt apart', async () => {
    const engine = new EngineUnderTest({ packs: true });
    engine.engine.submit(request('a', { maxTokens: 30 }));
    await engine.step();
    engine.engine.submit(request('b', { promptLogprobs: 0 }));
    await engine.step();
    const kinds = engine.session.calls.map(({ kind }) => kind);
    expect(kinds).toEqual(['prefill', 'prefill', 'decode']);
  });

  it('aborts in the middle of a prompt', async () => {
    const engine = new EngineUnderTest({ scheduling: { prefillChunk: 4 } });
    engine.engine.submit(request('a', { promptTokens: prompt(10) }));
    await engine.step();
    engine.engine.abort(['a']);
    expect(await engine.step()).toEqual([
      expect.objectContaining({ type: 'aborted', id: 'a', stage: 'prefill' }),
    ]);
    expect(engine.engine.hasWork).toBe(false);
    expect(engine.session.calls).toHaveLength(1);
  });

  it('takes no message before the step is over', async () => {
    const during = ({ kind }: FakeCall) => {
      if (kind === 'prefill') engine.engine.abort(['a']);
    };
    const engine: EngineUnderTest = new EngineUnderTest({ during });
    engine.engine.submit(request('a'));
    expect((await engine.step()).map(({ type }) => type)).toEqual(['started', 'prefilled', 'tokens']);
    expect((await engine.step()).map(({ type }) => type)).toEqual(['aborted']);
  });
});

describe('a completion that begins with what is given', () => {
  const promptTokens = prompt(11);
  const completionPrefix = prompt(9, 40);
  const kind = { encoderCapacity: 32, scheduling: { prefillChunk: 4, stepTokens: 32 } };
  const logitsOf = hashedLogits(263);
  const best = (logits: Float32Array) => logits.indexOf(Math.max(...logits));

  it('goes on from it, beside others', async () => {
    const expected: number[] = [];
    for (let i = 0; i < 5; i++)
      expected.push(best(logitsOf(promptTokens, [0, ...completionPrefix, ...expected])));
    const engine = new EngineUnderTest({ ...kind, slots: 3 });
    const others = [0, 1, 2].map((i) => request(`other ${i}`, { promptTokens: prompt(5, 20 * i) }));
    await engine.finish(others[0]!, others[1]!, request('a', { promptTokens, completionPrefix }), others[2]!);
    expect(engine.tokensOf('a')).toEqual(expected);
    for (const { id, promptTokens } of others)
      expect(engine.tokensOf(id)).toEqual(await tokensAlone(kind, { promptTokens }));
    expect(engine.steps.at(-1)).toMatchObject({ waiting: 0, running: 0, cacheUsage: 0 });
  });

  it('is scored where that is asked for, and takes over what the encoder made of the prompt', async () => {
    const engine = new EngineUnderTest(kind);
    const scored = { promptTokens, promptLogprobs: 2, maxTokens: 0 };
    await engine.finish(request('a', { ...scored, completionPrefix }));
    await engine.finish(request('b', { ...scored, completionPrefix: completionPrefix.slice(3) }));
    expect(engine.session.calls.filter(({ kind }) => kind === 'encode')).toHaveLength(1);
    for (const [id, prefix] of [
      ['a', completionPrefix],
      ['b', completionPrefix.slice(3)],
    ] as const) {
      const scores = engine.eventsOf(id).flatMap((event) => (event.type === 'scored' ? event.logprobs : []));
      expect(scores).toHaveLength(prefix.length);
      for (const [i, own] of prefix.entries()) {
        const logits = [...logitsOf(promptTokens, [0, ...prefix.slice(0, i)])];
        const sum = Math.log(logits.reduce((total, logit) => total + Math.exp(logit), 0));
        expect(scores[i]!.logprob).toBeCloseTo(logits[own]! - sum, 5);
      }
      expect(engine.tokensOf(id)).toEqual([]);
      expect(engine.endOf(id)).toMatchObject({ type: 'finished', reason: 'length' });
    }
  });
});

describe('the prompt’s own probabilities', () => {
  const promptTokens = prompt(11);

  async function scores(overrides: RequestOverrides, options: EngineUnderTestOptions = {}) {
    const engine = new EngineUnderTest(options);
    await engine.finish(request('a', { promptTokens, promptLogprobs: 2, ...overrides }), request('b'));
    return {
      engine,
      scored: engine.eventsOf('a').flatMap((event) => (event.type === 'scored' ? event.logprobs : [])),
    };
  }

  it('are the model’s, chunk by chunk, and change nothing of the completion', async () => {
    const { engine, scored } = await scores({});
    expect(engine.session.calls.filter(({ kind }) => kind === 'prefill').length).toBeGreaterThan(2);
    expect(engine.tokensOf('a')).toEqual(await tokensAlone({}, { promptTokens }));
    expect(scored).toHaveLength(promptTokens.length);
    expect(scored[0]).toBeNull();
    const logitsOf = hashedLogits(263);
    for (let i = 1; i < promptTokens.length; i++) {
      const logits = [...logitsOf([], promptTokens.slice(0, i))];
      const sum = Math.log(logits.reduce((total, logit) => total + Math.exp(logit), 0));
      const sorted = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
      const own = promptTokens[i]!;
      expect(scored[i]!.rank).toBe(1 + logits.filter((logit) => logit > logits[own]!).length);
      expect(scored[i]!.logprob).toBeCloseTo(logits[own]! - sum, 5);
      expect(scored[i]!.top.map(({ token }) => token)).toEqual(sorted.slice(0, 2));
    }
  });

  it('come without a completion where no token is asked for', async () => {
    const { engine, scored } = await scores({ maxTokens: 0 });
    expect(scored).toHaveLength(promptTokens.length);
    expect(engine.tokensOf('a')).toEqual([]);
    expect(engine.endOf('a')).toMatchObject({ type: 'finished', reason: 'length' });
    expect(engine.tokensOf('b')).toHaveLength(5);
  });

  it('never need the logits of a whole long prompt at once', async () => {
    // With a vocabulary this large, the engine asks for only two rows of logits at a time.
    const vocabSize = 2 ** 22;
    const { engine, scored } = await scores(
      { maxTokens: 0, promptLogprobs: 0 },
      { vocabSize, logitsOf: () => new Float32Array(vocabSize) },
    );
    expect(scored).toHaveLength(promptTokens.length);
    expect(scored[1]!.logprob).toBeCloseTo(-Math.log(vocabSize), 5);
    const lengths = engine.session.calls
      .filter(({ kind, contents }) => kind === 'prefill' && contents[0]![0] === promptTokens[0])
      .map(({ contents }) => contents[0]!.length);
    expect(lengths).toEqual([2, 3, 5, 6, 8, 9, 11]);
  });
});
