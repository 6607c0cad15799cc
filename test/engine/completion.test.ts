import { describe, expect, it } from 'vitest';
import { EngineUnderTest, eosToken, tokenOf } from '../support/engine-under-test.ts';
import { scriptedLogits } from '../support/fake-session.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';

const promptTokens = [5, 6, 7];
const eos = '$';
const tokensOf = (said: string) =>
  [...said].map((character) => (character === eos ? eosToken : tokenOf(character)));

/** The result of a request to a model that generates `said`; `$` is its end token. */
async function complete(said: string | readonly number[], overrides: RequestOverrides = {}, capacity = 64) {
  const script = typeof said === 'string' ? tokensOf(said) : said;
  // The model samples the first token from the logits after the whole prompt.
  const logitsOf = scriptedLogits(263, promptTokens.length, script);
  const engine = new EngineUnderTest({ logitsOf, capacity });
  await engine.finish(generationRequest({ promptTokens, maxTokens: 20, ...overrides }));
  const end = engine.endOf('request')!;
  if (end.type !== 'finished') throw new Error(`ended with ${JSON.stringify(end)}`);
  const { reason, stopReason } = end;
  const tokens = engine.tokensOf('request');
  return { text: engine.textOf('request'), reason, stopReason, tokens, engine };
}

describe('a completion', () => {
  it("ends with the model's own end token, which is no text", async () => {
    const result = await complete('hello$x', { skipSpecialTokens: false });
    expect(result).toMatchObject({
      text: 'hello',
      reason: 'stop',
      stopReason: null,
      tokens: tokensOf('hello$'),
    });
  });

  it('goes on past it when asked to', async () => {
    const stop = { ignoreEos: true };
    expect(await complete('a$b', { stop, maxTokens: 3 })).toMatchObject({ text: 'ab', reason: 'length' });
    const shown = await complete('a$b', { stop, maxTokens: 3, skipSpecialTokens: false });
    expect(shown.text).toBe('a</s>b');
  });

  it('ends after maxTokens', async () => {
    const result = await complete('hello', { maxTokens: 3 });
    expect(result).toMatchObject({ text: 'hel', reason: 'length', stopReason: null });
    expect(await complete('hello', { maxTokens: 1 })).toMatchObject({ text: 'h', reason: 'length' });
    expect(await complete('hello', { maxTokens: 0 })).toMatchObject({
      text: '',
      tokens: [],
      reason: 'length',
    });
  });

  it('ends when its slot is full, with the token that needs no position any more', async () => {
    // The cache holds 3 prompt tokens and 4 of the 5 generated tokens.
    const result = await complete('abcdefgh', {}, 7);
    expect(result).toMatchObject({ text: 'abcde', reason: 'length' });
    expect(await complete('abcdefgh', {}, 3)).toMatchObject({ text: 'a', reason: 'length' });
  });

  it('ends with a stop token, whose text is left out or kept as asked', async () => {
    const tokenIds = [tokenOf('.')];
    const left = await complete('one. two', { stop: { tokenIds } });
    expect(left).toMatchObject({ text: 'one', reason: 'stop', stopReason: tokenOf('.') });
    expect(left.tokens).toEqual(tokensOf('one.'));
    const kept = await complete('one. two', { stop: { tokenIds, includeInOutput: true } });
    expect(kept).toMatchObject({ text: 'one.', stopReason: tokenOf('.') });
  });

  it('ends with a stop string across tokens, which is left out or kept as asked', async () => {
    const strings = ['lo w', 'zzz'];
    const left = await complete('hello world', { stop: { strings } });
    expect(left).toMatchObject({
      text: 'hel',
      reason: 'stop',
      stopReason: 'lo w',
      tokens: tokensOf('hello w'),
    });
    const kept = await complete('hello world', { stop: { strings, includeInOutput: true } });
    expect(kept).toMatchObject({ text: 'hello w', reason: 'stop', stopReason: 'lo w' });
  });

  it('names the stop string also when the token was the last one allowed', async () => {
    const result = await complete('stop', { maxTokens: 4, stop: { strings: ['op'] } });
    expect(result).toMatchObject({ text: 'st', reason: 'stop', stopReason: 'op' });
  });

  it('gives out held back text when it ends otherwise', async () => {
    const strings = ['world'];
    expect(await complete('a wor$', { stop: { strings } })).toMatchObject({
      text: 'a wor',
      stopReason: null,
    });
    expect(await complete('a worst', { stop: { strings }, maxTokens: 5 })).toMatchObject({ text: 'a wor' });
  });

  it('does not stop before minTokens, by token or by string', async () => {
    const strings = await complete('ab ab ab', { stop: { strings: ['ab'], minTokens: 3 } });
    expect(strings).toMatchObject({ text: 'ab ', stopReason: 'ab', tokens: tokensOf('ab ab') });
    // The second token completes the string but still counts as one of the first two.
    const border = await complete('abcab', { stop: { strings: ['ab'], minTokens: 2 } });
    expect(border).toMatchObject({ text: 'abc', stopReason: 'ab' });
    const masked = await complete('$$$', { stop: { minTokens: 2 } });
    expect(masked.tokens).toHaveLength(3);
    expect(masked.tokens.indexOf(eosToken)).toBe(2);
  });

  it('gives characters out whole, and an unfinished one at the end as U+FFFD', async () => {
    const euro = [0xe2, 0x82, 0xac].map((byte) => 3 + byte);
    const whole = await complete([...euro, eosToken]);
    const texts = whole.engine
      .eventsOf('request')
      .flatMap((event) => (event.type === 'tokens' ? [event.text] : []));
    expect(texts).toEqual(['', '', '€', '']);
    expect((await complete(euro, { maxTokens: 2 })).text).toBe('\ufffd');
  });

  it('reports log probabilities token by token', async () => {
    const { engine } = await complete('ab', { maxTokens: 2, logprobs: 1 });
    const reported = engine
      .eventsOf('request')
      .flatMap((event) => (event.type === 'tokens' ? [event.logprobs] : []));
    expect(reported.map((entry) => entry?.[0]?.top[0]?.token)).toEqual(tokensOf('ab'));
  });
});
