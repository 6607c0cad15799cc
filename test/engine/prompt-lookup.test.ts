import { describe, expect, it } from 'vitest';
import { PromptLookup } from '../../src/engine/worker/guesses/prompt-lookup.ts';
import { EngineUnderTest } from '../support/engine-under-test.ts';
import { type FakeCall, scriptedLogits } from '../support/fake-session.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('PromptLookup', () => {
  it('guesses what followed the last three tokens the last time', () => {
    const lookup = new PromptLookup([1, 2, 3, 7, 8, 1, 2, 3, 9, 10, 11, 12, 13, 1, 2, 3]);
    expect(lookup.guess(100).tokens).toEqual([9, 10, 11, 12]);
    expect(lookup.guess(2).tokens).toEqual([9, 10]);
    expect(lookup.guess(0).tokens).toEqual([]);
    lookup.add(9);
    expect(lookup.guess(100).tokens).toEqual([10, 11, 12, 13]);
    lookup.add(99);
    expect(lookup.guess(100).tokens).toEqual([]);
  });

  it.each([[[]], [[1]], [[1, 2, 3]], [[1, 2, 1, 2]]])('guesses nothing from %j', (tokens) => {
    expect(new PromptLookup(tokens).guess(10).tokens).toEqual([]);
  });

  it('guesses more after right guesses, and less after partly right ones', () => {
    const lookup = new PromptLookup([...Array(60).keys(), 0, 1, 2]);
    expect(lookup.guess(100).tokens).toHaveLength(4);
    lookup.verified(4, 4);
    expect(lookup.guess(100).tokens).toHaveLength(8);
    lookup.verified(8, 8);
    expect(lookup.guess(100).tokens).toHaveLength(8);
    lookup.verified(8, 2);
    expect(lookup.guess(100).tokens).toHaveLength(3);
  });

  it('learns from guesses that nobody checked', () => {
    const lookup = new PromptLookup([...Array(60).keys(), 0, 1, 2]);
    const shares = [3, 4, 5, 99].map((token) => {
      const { rightShare } = lookup.guess(100);
      lookup.add(token);
      return rightShare;
    });
    expect(shares).toEqual([0.5, 0.625, 0.71875, 0.7890625]);
    for (const token of [0, 1, 2]) lookup.add(token);
    expect(lookup.guess(100).rightShare).toBeCloseTo(0.75 * 0.7890625);
  });

  it('pauses longer after each guess that is wrong at once, and not after a right one', () => {
    const lookup = new PromptLookup([...Array(60).keys(), 0, 1, 2]);
    const stepsToGuess = () => {
      let steps = 0;
      while (lookup.guess(100).tokens.length === 0) steps += 1;
      return steps;
    };
    const pauses = Array.from({ length: 8 }, () => {
      lookup.verified(2, 0);
      return stepsToGuess();
    });
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 64]);
    lookup.verified(2, 1);
    expect(stepsToGuess()).toBe(0);
    lookup.verified(2, 0);
    expect(stepsToGuess()).toBe(1);
  });
});

describe('an engine with prompt lookup', () => {
  const vocabSize = 263;
  /** The prompt, which the model repeats and then leaves. */
  const promptTokens = Array.from({ length: 20 }, (_, i) => 30 + i);
  const script = [...promptTokens, 200, 201, 202, ...promptTokens.slice(0, 6), 203];
  const options = { capacity: 128, logitsOf: scriptedLogits(vocabSize, promptTokens.length, script) };
  const request = (id: string, more: RequestOverrides = {}) =>
    generationRequest({ id, promptTokens, maxTokens: script.length, stop: { ignoreEos: true }, ...more });
  const kinds = (engine: EngineUnderTest) => engine.session.calls.map(({ kind }) => kind);

  it.each<[string, RequestOverrides]>([
    ['to its end', {}],
    ['up to a length within a guess', { maxTokens: 11 }],
    ['up to a stop token within a guess', { stop: { tokenIds: [41], ignoreEos: true } }],
    ['with log probabilities', { logprobs: 2 }],
    ['sampled', { sampling: { temperature: 1.5, seed: [7, 0] } }],
    ['with a penalty', { sampling: { frequencyPenalty: 1.9 } }],
  ])('generates the same in fewer steps, %s', async (_, more) => {
    const [fast, slow] = [true, false].map(
      (promptLookup) => new EngineUnderTest({ ...options, promptLookup }),
    );
    await fast!.finish(request('a', more));
    await slow!.finish(request('a', more));
    expect(fast!.tokensOf('a')).toEqual(slow!.tokensOf('a'));
    const told = (engine: EngineUnderTest) =>
      engine.events.flatMap((event) =>
        event.type === 'tokens' || event.type === 'finished' ? [{ ...event, at: 0 }] : [],
      );
    expect(told(fast!)).toEqual(told(slow!));
    expect(kinds(slow!)).not.toContain('verify');
  });

  it('reports its guesses, and computes right ones in one step', async () => {
    const engine = new EngineUnderTest({ ...options, promptLookup: true });
    await engine.finish(request('a'));
    const { guessedTokens, rightGuesses, generatedTokens } = engine.lifeOf(request('a'));
    const steps = kinds(engine).filter((kind) => kind === 'decode' || kind === 'verify').length;
    expect(generatedTokens).toBe(script.length);
    // The prefill chooses the first token.
    expect(steps + rightGuesses).toBe(script.length - 1);
    expect(rightGuesses).toBeGreaterThan(15);
    expect(guessedTokens).toBeGreaterThan(rightGuesses);
  });

  it('counts no guess behind the end', async () => {
    const engine = new EngineUnderTest({ ...options, promptLookup: true });
    await engine.finish(request('a', { stop: { tokenIds: [promptTokens[8]!], ignoreEos: true } }));
    const { rightGuesses, generatedTokens } = engine.lifeOf(request('a'));
    expect(generatedTokens).toBe(9);
    expect(rightGuesses).toBeLessThan(9);
  });

  it('lets a later prompt share what was guessed rightly, and nothing else', async () => {
    const engine = new EngineUnderTest({ ...options, promptLookup: true });
    await engine.finish(request('a'));
    const turn = [...promptTokens, ...engine.tokensOf('a'), 250, 251];
    await engine.finish(request('b', { promptTokens: turn, maxTokens: 3 }));
    expect(engine.lifeOf(request('b')).cachedTokens).toBe(turn.length - 3);
    const alone = new EngineUnderTest(options);
    await alone.finish(request('b', { promptTokens: turn, maxTokens: 3 }));
    expect(engine.tokensOf('b')).toEqual(alone.tokensOf('b'));
  });

  /** A second prompt, which another sequence repeats. */
  const other = promptTokens.map((token) => token + 100);
  const both = {
    ...options,
    packs: true,
    logitsOf: (_: readonly number[], tokens: readonly number[]) => {
      const said = tokens[0] === other[0] ? [...other, ...other] : script;
      return scriptedLogits(vocabSize, promptTokens.length, said)(_, tokens);
    },
  };
  const pair = () => [request('a'), request('b', { promptTokens: other })];

  it('guesses for every sequence of a batch in one run, if the session packs', async () => {
    const [fast, slow] = [true, false].map((promptLookup) => new EngineUnderTest({ ...both, promptLookup }));
    await fast!.finish(...pair());
    await slow!.finish(...pair());
    for (const id of ['a', 'b']) {
      expect(fast!.tokensOf(id)).toEqual(slow!.tokensOf(id));
      expect(fast!.lifeOf(request(id)).rightGuesses).toBeGreaterThan(15);
    }
    expect(fast!.session.calls.length).toBeLessThan(0.6 * slow!.session.calls.length);
    const guessing = fast!.session.calls.find(({ kind, tokens }) => kind === 'pack' && tokens < 12);
    expect(guessing).toMatchObject({ slots: [0, 1] });
  });

  it('guesses while a prompt is computed, in the same run', async () => {
    const clock = new ManualClock();
    const during = () => clock.advance(10);
    const scheduling = { prefillChunk: 4 };
    const engine = new EngineUnderTest({ ...both, promptLookup: true, scheduling, clock, during });
    // It learns that longer runs take no longer.
    for (let i = 0; i < 3; i++) await engine.finish(request('c'), request('d', { promptTokens: other }));
    engine.engine.submit(request('a', { cacheSalt: 'x' }));
    for (let step = 0; step < 6; step++) await engine.step();
    await engine.finish(request('b', { promptTokens: other, cacheSalt: 'y' }));
    const together = engine.session.calls.filter(
      ({ kind, contents: [first, second] }) =>
        kind === 'pack' && second !== undefined && first![0] === other[0] && first!.length <= other.length,
    );
    expect(together.length).toBeGreaterThan(3);
    expect(Math.max(...together.map(({ tokens }) => tokens))).toBeGreaterThan(4 + 1);
  });

  it('checks no guess in a batch whose runs take as long as their tokens', async () => {
    const clock = new ManualClock();
    const during = ({ tokens }: FakeCall) => clock.advance(10 * tokens);
    const engine = new EngineUnderTest({ ...both, promptLookup: true, clock, during });
    // It learns what runs take.
    for (let i = 0; i < 3; i++) await engine.finish(request('c'), request('d', { promptTokens: other }));
    await engine.finish(...pair());
    const { guessedTokens } = engine.lifeOf(request('a'));
    expect(guessedTokens).toBeLessThan(8);
    const all = new EngineUnderTest(both);
    await all.finish(...pair());
    expect(engine.tokensOf('a')).toEqual(all.tokensOf('a'));
  });

  it('guesses nothing in a batch of a session that does not pack, for a grammar, or where rows are not equal', async () => {
    const batch = new EngineUnderTest({ ...options, promptLookup: true });
    await batch.finish(request('a'), request('b'));
    expect(kinds(batch)).not.toContain('verify');
    const rounding = new EngineUnderTest({ ...options, promptLookup: true, isRounding: true });
    await rounding.finish(request('a'));
    expect(kinds(rounding)).not.toContain('verify');
  });

  it('fails only the request whose check fails', async () => {
    const engine = new EngineUnderTest({
      ...options,
      promptLookup: true,
      during: ({ kind }) => {
        if (kind === 'verify') throw new Error('lost');
      },
    });
    await engine.finish(request('a'));
    expect(engine.events.at(-1)).toMatchObject({ type: 'failed', id: 'a' });
    await engine.finish(request('b', { maxTokens: 1 }));
    expect(engine.tokensOf('b')).toHaveLength(1);
  });
});
