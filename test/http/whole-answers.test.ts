import { createParser } from 'eventsource-parser';
import { describe, expect, it } from 'vitest';
import type { ServedModel } from '../../src/catalog/served-model.ts';
import { ChatTemplate } from '../../src/catalog/tokenizer/chat-template.ts';
import type { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import type { GenerationEvent, GenerationRequest } from '../../src/engine/protocol/generation.ts';
import { fakeManifest, fakeModel, fakeServer } from '../support/fake-server.ts';
import { fakeTexts } from '../support/fake-tokenizer.ts';
import { oddCharacters } from '../support/odd-characters.ts';

const texts = [...new Set(oddCharacters)];
const allText = texts.join('');
const ids = texts.map((_, id) => id);

/** A tokenizer with one token for each odd text. */
const tokenizer = {
  vocabSize: texts.length,
  leadingSpaces: 0,
  encode: () => ids,
  decode: (tokens: readonly number[]) => tokens.map((id) => texts[id]).join(''),
  tokenBytes: (id: number) => Buffer.from(texts[id]!),
  isSpecial: () => false,
} as unknown as Tokenizer;

function oddModel(name: string): ServedModel {
  return {
    ...fakeModel(name, undefined, 'decoder-only'),
    manifest: {
      ...fakeManifest('decoder-only'),
      vocabSize: texts.length,
      mediaTokens: { image: [], audio: [] },
    },
    vocabulary: tokenizer,
    texts: fakeTexts(new ChatTemplate('{{ messages[0].content }}'), tokenizer),
    state: { ...fakeModel(name).state, capacity: 10_000 } as ServedModel['state'],
  };
}

/** Emits all tokens, with odd texts in the log probabilities and the stop reason too. */
function script(request: GenerationRequest): GenerationEvent[] {
  const { id } = request;
  const next = (token: number) => (token + 1) % ids.length;
  const top = (token: number) => [
    { token, logprob: -0.5 },
    { token: next(token), logprob: -1.5 },
  ];
  const logprobs = ids.map((token) => ({ logprob: -0.5, top: top(token) }));
  return [
    { type: 'started', id, at: 1 },
    { type: 'scored', id, logprobs: logprobs.map((entry) => ({ ...entry, rank: 1 })) },
    { type: 'tokens', id, at: 2, tokens: ids, text: allText, logprobs },
    {
      type: 'finished',
      id,
      reason: 'stop',
      stopReason: allText,
      text: '',
      at: 4,
    },
  ];
}

const odd = fakeServer({
  models: [oddModel('tiny')],
  config: { maxQueuedTokens: 100_000, bodyLimit: 1_000_000 },
});
odd.engine.script = script;

const pairs = ids.map((token) => {
  const other = texts[(token + 1) % ids.length]!;
  return Object.fromEntries([
    [other, -1.5],
    [texts[token]!, -0.5],
  ]);
});

async function post(url: string, payload: object) {
  const response = await odd.app.inject({ method: 'POST', url, payload });
  expect(response.statusCode, response.body.slice(0, 500)).toBe(200);
  return response;
}

function events(body: string) {
  const parsed: string[] = [];
  createParser({ onEvent: ({ data }) => parsed.push(data) }).feed(body);
  expect(parsed.pop()).toBe('[DONE]');
  return parsed.map((data) => JSON.parse(data));
}

/** The first choice with log probabilities, with the last one's stop reason. */
const streamed = (body: string) => {
  const choices = events(body).flatMap((chunk) => chunk.choices);
  return { ...choices.find(({ logprobs }) => logprobs), stop_reason: choices.at(-1).stop_reason };
};

describe(`no answer loses any of ${texts.length} odd texts`, () => {
  it.each([{ stream: false }, { stream: true }])('of a completion, %j', async ({ stream }) => {
    const payload = { prompt: allText, max_tokens: texts.length, logprobs: 2, stream };
    const { body } = await post('/v1/completions', payload);
    const choice = stream ? streamed(body) : JSON.parse(body).choices[0];
    expect(choice.text).toBe(allText);
    expect(choice.stop_reason).toBe(allText);
    expect(choice.logprobs.tokens).toEqual(texts);
    expect(choice.logprobs.top_logprobs).toEqual(pairs);
  });

  it('of a prompt that is echoed and scored', async () => {
    const payload = { prompt: allText, max_tokens: 0, logprobs: 2, prompt_logprobs: 2, echo: true };
    const [choice] = (await post('/v1/completions', payload)).json().choices;
    expect(choice.text).toBe(allText + allText);
    expect(choice.logprobs.top_logprobs).toEqual([...pairs, ...pairs]);
    const decoded = choice.prompt_logprobs.map(
      (entry: Record<string, { decoded_token: string }>, id: number) => entry[id]!.decoded_token,
    );
    expect(decoded).toEqual(texts);
  });

  it.each([{ stream: false }, { stream: true }])('of a chat, %j', async ({ stream }) => {
    const messages = [{ role: 'user', content: allText }];
    const payload = { messages, logprobs: true, top_logprobs: 2, stream };
    const { body } = await post('/v1/chat/completions', payload);
    const choice = stream ? streamed(body) : JSON.parse(body).choices[0];
    expect((choice.message ?? choice.delta).content).toBe(allText);
    expect(choice.stop_reason).toBe(allText);
    expect(choice.logprobs.content.map(({ token }: { token: string }) => token)).toEqual(texts);
    expect(choice.logprobs.content.at(-2).top_logprobs.map(({ token }: { token: string }) => token)).toEqual(
      texts.slice(-2),
    );
  });

  it('of texts and tokens', async () => {
    const payload = { prompt: allText, return_token_strs: true };
    expect((await post('/tokenize', payload)).json().token_strs).toEqual(texts);
    expect((await post('/detokenize', { tokens: ids })).json().prompt).toBe(allText);
  });

  it('of models and their failures', async () => {
    const state = { state: 'failed' as const, message: allText };
    const { app } = fakeServer({ models: texts.map((text) => ({ ...fakeModel(text, state), id: text })) });
    const listed = (await app.inject('/v1/models')).json().data;
    expect(listed.map(({ id }: { id: string }) => id)).toEqual(texts);
    const health = (await app.inject('/health')).json().models;
    expect(health.map(({ id }: { id: string }) => id)).toEqual(texts);
    expect(health[0].message).toBe(allText);
    for (const text of texts) {
      const response = await app.inject(`/v1/models/${encodeURIComponent(text)}`);
      expect([text, response.statusCode, response.json().id]).toEqual([text, 200, text]);
    }
  });

  it('of errors that name a field', async () => {
    for (const text of texts) {
      const { error } = (
        await odd.app.inject({
          method: 'POST',
          url: '/v1/completions',
          payload: { prompt: 'a', [`zzz${text}`]: 1 },
        })
      ).json();
      expect(error).toMatchObject({ param: `zzz${text}`, message: `\`zzz${text}\` is not a known field.` });
    }
  });
});
