import { describe, expect, it } from 'vitest';
import type { GenerationEvent, GenerationRequest } from '../../src/engine/protocol/generation.ts';
import { WrittenJson, wholeTurn, writeInTurns, writeListInTurns } from '../../src/http/json/in-turns.ts';
import { fakeManifest, fakeModel, fakeServer } from '../support/fake-server.ts';
import { longestTurn } from '../support/longest-turn.ts';
import { oddCharacters } from '../support/odd-characters.ts';

const manyNumbers = Array.from({ length: 10_000 }, (_, i) => i / 3);

describe('JSON in turns', () => {
  it.each<[string, unknown]>([
    ['small values', { a: [1, 'two', null, true], b: {}, c: [] }],
    ['odd texts', [...oddCharacters, Object.fromEntries(oddCharacters.map((text) => [text, text]))]],
    ['what is undefined', { a: undefined, b: [undefined, 1], c: { d: undefined, e: manyNumbers } }],
    ['a long list', manyNumbers],
    ['lists in lists', [manyNumbers, [manyNumbers, 'a'], 7, manyNumbers.map((value) => ({ value }))]],
    ['an object of many fields', Object.fromEntries(manyNumbers.map((value) => [`k${value}`, [value]]))],
    ['a name like a prototype’s', JSON.parse(`{"__proto__":${JSON.stringify(manyNumbers)}}`)],
  ])('is JSON.stringify’s: %s', async (_, value) => {
    expect(String(await writeInTurns(value))).toBe(JSON.stringify(value));
  });

  it('lets the event loop turn', async () => {
    const value = Array.from({ length: 20_000 }, (_, i) => ({
      [i]: { logprob: -i / 7, rank: i, text: 'a b' },
    }));
    const choices = Array.from({ length: 20 }, () => ({ logprobs: { value } }));
    const { outcome, turnMs } = await longestTurn(() => writeInTurns({ choices }));
    expect(String(outcome)).toHaveLength(JSON.stringify({ choices }).length);
    expect(turnMs).toBeLessThan(100);
  });
});

it('a list is written in turns, in its order, and stands where it is put', async () => {
  const list = await writeListInTurns(manyNumbers, (value, index) => JSON.stringify([index, value]));
  const expected = manyNumbers.map((value, index) => [index, value]);
  expect(JSON.parse(String(list))).toEqual(expected);
  expect(String(await writeInTurns({ a: [{ list }, 1], b: new WrittenJson(Buffer.from('null')) }))).toBe(
    JSON.stringify({ a: [{ list: expected }, 1], b: null }),
  );
});

it('work that cannot be cut has turns of its own', async () => {
  const turns: number[] = [];
  let turn = 0;
  const count = () => {
    turn += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const work = async () => {
    await wholeTurn();
    turns.push(turn);
  };
  await Promise.all([work(), work(), work().then(work)]);
  clearImmediate(counting);
  expect(new Set(turns).size).toBe(4);
});

/** Scores each prompt token, with 20 alternatives. */
function scored(request: GenerationRequest): GenerationEvent[] {
  const { id, promptTokens } = request;
  const top = Array.from({ length: 20 }, (_, i) => ({ token: 10 + i, logprob: -i }));
  const logprobs = promptTokens.map((_, i) => (i === 0 ? null : { logprob: -1, rank: 2, top }));
  return [
    { type: 'started', id, at: 1 },
    { type: 'scored', id, logprobs },
    { type: 'finished', id, reason: 'length', stopReason: null, text: '', at: 4 },
  ];
}

describe('no request holds the HTTP thread', () => {
  const length = 8000;
  const capacity = 2 * length;
  const model = {
    ...fakeModel('tiny', undefined, 'decoder-only'),
    manifest: { ...fakeManifest('decoder-only'), mediaTokens: { image: [], audio: [] } },
  };
  model.state = { ...model.state, capacity } as typeof model.state;
  const { app, engine } = fakeServer({
    models: [model],
    config: { bodyLimit: 2 ** 20, maxQueuedTokens: 10 * capacity },
    // Off, because that check reads a whole answer in one turn.
    isHeldToDescription: false,
  });
  engine.script = scored;
  const prompt = Array.from({ length }, (_, i) => 10 + (i % 90));
  const scoring = { prompt: [prompt, prompt], max_tokens: 0 };

  it.each<[string, string, object, number]>([
    ['scores of long prompts', '/v1/completions', { ...scoring, prompt_logprobs: 20 }, 200],
    ['long prompts in the answer', '/v1/completions', { ...scoring, echo: true, logprobs: 5 }, 200],
    ['the same in a stream', '/v1/completions', { ...scoring, echo: true, logprobs: 5, stream: true }, 200],
    ['500,000 tokens to turn into text', '/detokenize', { tokens: Array(500_000).fill(7) }, 200],
    ['a prompt of 500,000 tokens', '/v1/completions', { prompt: Array(500_000).fill(9) }, 400],
    [
      'a chat of 28,000 messages',
      '/v1/chat/completions',
      { messages: Array(28_000).fill({ role: 'user', content: 'a' }) },
      200,
    ],
    [
      'biases for 80,000 tokens',
      '/v1/completions',
      { prompt: 'a', logit_bias: Object.fromEntries(manyNumbers.map((_, i) => [String(8 * i), 1])) },
      400,
    ],
    [
      '70,000 unknown fields',
      '/v1/completions',
      Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`f${i}`, 1])),
      400,
    ],
  ])('%s', async (_, url, payload, status) => {
    const body = JSON.stringify(payload);
    const ask = () =>
      app.inject({ method: 'POST', url, payload: body, headers: { 'content-type': 'application/json' } });
    await ask();
    const { outcome, turnMs } = await longestTurn(ask);
    expect(outcome).toMatchObject({ statusCode: status });
    expect(turnMs).toBeLessThan(100);
  });

  it('embeddings of half a million numbers', async () => {
    const embedder = fakeServer({ isHeldToDescription: false });
    const embedding = Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i));
    embedder.engine.embeddingScript = ({ id }) => [{ type: 'embedded', id, at: 2, embedding }];
    // Not more: the test reads the whole answer in one turn, and that counts too.
    const payload = { input: Array(125).fill('ab') };
    const ask = () => embedder.app.inject({ method: 'POST', url: '/v1/embeddings', payload });
    await ask();
    const { outcome, turnMs } = await longestTurn(ask);
    expect(outcome).toMatchObject({ statusCode: 200 });
    expect((outcome as { body: string }).body.length).toBeGreaterThan(5_000_000);
    expect(turnMs).toBeLessThan(100);
  });
});
