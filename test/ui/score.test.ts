import { describe, expect, it } from 'vitest';
import { Api } from '../../src/ui/api/api.js';
import { score, scoreOf } from '../../src/ui/perplexity/score.js';

const signal = new AbortController().signal;
const texts = { context: 'It is', text: ' so.' };

function apiOf(...answers: object[]) {
  const sent: Record<string, unknown>[] = [];
  const fetch = async (_path: unknown, init: RequestInit = {}) => {
    sent.push(JSON.parse(String(init.body)));
    const answer = answers.shift()!;
    return Response.json(answer, { status: 'error' in answer ? 400 : 200 });
  };
  return { api: new Api(() => '', fetch as typeof globalThis.fetch), sent };
}

const scored = (tokens: string[], token_logprobs: (number | null)[]) => ({
  choices: [{ text: tokens.filter((each) => each !== '<s>').join(''), logprobs: { tokens, token_logprobs } }],
});
const refusal = { error: { message: 'decoder only', code: 'invalid_request', param: 'echo' } };

describe('the score of a text', () => {
  it('leaves out the context and the token that begins every text', async () => {
    const { api, sent } = apiOf(scored(['<s>', 'It', ' is', ' so', '.'], [null, -9, -9, -1, -3]));
    const result = await score(api, 'm', texts, signal);
    expect(result.tokens.map(({ text }) => text)).toEqual([' so', '.']);
    expect(result).toMatchObject({ measured: 2, perplexity: Math.exp(2), bitsPerByte: 4 / Math.LN2 / 4 });
    expect(sent).toEqual([{ model: 'm', prompt: 'It is so.', max_tokens: 0, echo: true, logprobs: 5 }]);
  });

  it('of an encoder-decoder model is that of a prefix after the context', async () => {
    const { api, sent } = apiOf(refusal, scored([' so', '.'], [-1, -3]));
    expect(await score(api, 'm', texts, signal)).toMatchObject({ measured: 2, perplexity: Math.exp(2) });
    expect(sent[1]).toMatchObject({ prompt: 'It is', completion_prefix: ' so.', max_tokens: 0, echo: true });
  });

  it('of an encoder-decoder model needs a context', async () => {
    await expect(score(apiOf(refusal).api, 'm', { ...texts, context: '' }, signal)).rejects.toMatchObject({
      code: 'needs_context',
    });
  });

  it('needs a measured token', () => {
    expect(() => scoreOf([{ text: 'It', bytes: null, logprob: null, top: [] }], 0)).toThrow(
      expect.objectContaining({ code: 'needs_text' }),
    );
  });

  it('is refused by servers that return no log probabilities', async () => {
    const { api } = apiOf({ choices: [{ text: 'It is so.', logprobs: null }] });
    await expect(score(api, 'm', texts, signal)).rejects.toMatchObject({ code: 'foreign_answer' });
  });
});
