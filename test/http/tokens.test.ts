import { describe, expect, it } from 'vitest';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { eos, tokenOf } from '../support/fake-tokenizer.ts';

const { app } = fakeServer();
const post = (url: string, payload: object, server = app) => server.inject({ method: 'POST', url, payload });

describe('/tokenize', () => {
  it('gives tokens, their number and the model’s limit', async () => {
    expect((await post('/tokenize', { prompt: 'hi' })).json()).toEqual({
      count: 3,
      max_model_len: 24,
      tokens: [tokenOf('h'), tokenOf('i'), eos],
      token_strs: null,
    });
  });

  it('leaves out special tokens and gives token texts where asked', async () => {
    const payload = { model: 'tiny', prompt: 'hé', add_special_tokens: false, return_token_strs: true };
    expect((await post('/tokenize', payload)).json()).toMatchObject({
      count: 3,
      token_strs: ['h', 'bytes:\\xc3', 'bytes:\\xa9'],
    });
  });

  it('takes an empty text', async () => {
    expect((await post('/tokenize', { prompt: '', add_special_tokens: false })).json()).toMatchObject({
      tokens: [],
    });
  });
});

describe('/detokenize', () => {
  it('gives the text', async () => {
    expect((await post('/detokenize', { tokens: [tokenOf('h'), tokenOf('i')] })).json()).toEqual({
      prompt: 'hi',
    });
  });

  it('refuses ids outside the vocabulary', async () => {
    const response = await post('/detokenize', { tokens: [5, 259] });
    expect(response.statusCode).toBe(400);
    expect(response.json().error).toMatchObject({ param: 'tokens', code: 'invalid_request' });
  });
});

describe('/tokenizer_info', () => {
  it('gives what the checkpoint says of its tokenizer', async () => {
    const response = await app.inject('/tokenizer_info?model=tiny');
    expect(response.json()).toEqual({
      tokenizer_class: 'Bytes',
      bos_token: null,
      eos_token: '</s>',
      pad_token: null,
      unk_token: null,
      chat_template: null,
    });
    expect((await app.inject('/tokenizer_info')).statusCode).toBe(200);
  });

  it.each([
    ['model=other', 404, 'model'],
    ['modell=tiny', 400, 'modell'],
  ])('refuses %s', async (query, status, param) => {
    const response = await app.inject(`/tokenizer_info?${query}`);
    expect(response.statusCode).toBe(status);
    expect(response.json().error.param).toBe(param);
  });
});

describe('both', () => {
  it.each([
    ['/tokenize', { prompt: 3 }, 'prompt'],
    ['/tokenize', { prompt: 'a', messages: [] }, 'messages'],
    ['/tokenize', {}, 'prompt'],
    ['/detokenize', { tokens: ['a'] }, 'tokens'],
    ['/detokenize', { tokens: [-1] }, 'tokens'],
  ])('%s refuses %j', async (url, payload, param) => {
    const response = await post(url, payload);
    expect(response.statusCode).toBe(400);
    expect(response.json().error.param).toBe(param);
  });

  it('know their models', async () => {
    const models = [
      fakeModel('late', { state: 'loading' }),
      fakeModel('broken', { state: 'failed', message: 'x' }),
    ];
    const server = fakeServer({ models }).app;
    for (const [url, rest] of [
      ['/tokenize', { prompt: 'a' }],
      ['/detokenize', { tokens: [5] }],
    ] as const) {
      expect((await post(url, { model: 'late', ...rest }, server)).statusCode).toBe(200);
      const broken = await post(url, { model: 'broken', ...rest }, server);
      expect(broken.statusCode).toBe(503);
      expect(broken.headers['retry-after']).toBe('60');
      expect((await post(url, { model: 'nobody', ...rest }, server)).statusCode).toBe(404);
      expect((await post(url, rest, server)).statusCode).toBe(400);
    }
  });
});
