import { describe, expect, it, vi } from 'vitest';
import { fakeModel, fakeServer } from '../support/fake-server.ts';

const server = fakeServer();

async function refusal(payload: object, { app } = server) {
  const response = await app.inject({ method: 'POST', url: '/v1/completions', payload });
  expect(response.headers['content-type']).toMatch(/^application\/json/);
  expect(Buffer.byteLength(response.body)).toBeLessThanOrEqual(2048);
  const { error } = response.json();
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  return { status: response.statusCode, ...error };
}

const invalid = { status: 400, code: 'invalid_request', type: 'invalid_request_error' };

describe('a bad parameter is a 400 that names it', () => {
  it.each([
    ['n', 0, '`n` must be a whole number from 1 to 128 or null, not 0.'],
    ['n', 129, '`n` must be a whole number from 1 to 128 or null, not 129.'],
    ['n', 1.5, '`n` must be a whole number from 1 to 128 or null, not 1.5.'],
    ['n', '2', '`n` must be a whole number from 1 to 128 or null.'],
    ['presence_penalty', 2.1, '`presence_penalty` must be a number from -2 to 2 or null, not 2.1.'],
    ['presence_penalty', -2.1, '`presence_penalty` must be a number from -2 to 2 or null, not -2.1.'],
    ['frequency_penalty', 3, '`frequency_penalty` must be a number from -2 to 2 or null, not 3.'],
    ['frequency_penalty', -3, '`frequency_penalty` must be a number from -2 to 2 or null, not -3.'],
    ['repetition_penalty', 0, '`repetition_penalty` must be a number above 0, at most 100 or null, not 0.'],
    ['repetition_penalty', -1, '`repetition_penalty` must be a number above 0, at most 100 or null, not -1.'],
    ['temperature', -0.1, '`temperature` must be a number from 0 to 2 or null, not -0.1.'],
    ['temperature', 2.1, '`temperature` must be a number from 0 to 2 or null, not 2.1.'],
    ['top_p', -0.1, '`top_p` must be a number above 0, at most 1 or null, not -0.1.'],
    ['top_p', 1.1, '`top_p` must be a number above 0, at most 1 or null, not 1.1.'],
    ['top_k', -2, '`top_k` must be a whole number of at least -1 or null, not -2.'],
    ['min_p', 1.1, '`min_p` must be a number from 0 to 1 or null, not 1.1.'],
    ['min_p', -0.1, '`min_p` must be a number from 0 to 1 or null, not -0.1.'],
    ['max_tokens', -1, '`max_tokens` must be a whole number of at least 0 or null, not -1.'],
    ['max_tokens', 33, '`max_tokens` is 33; this model generates at most 32.'],
    ['min_tokens', -1, '`min_tokens` must be a whole number of at least 0 or null, not -1.'],
    ['min_tokens', 17, '`min_tokens` is 17; the request generates at most 16 tokens.'],
    ['logprobs', -1, '`logprobs` must be a whole number from 0 to 5 or null, not -1.'],
    ['logprobs', 6, '`logprobs` must be a whole number from 0 to 5 or null, not 6.'],
    ['logprobs', true, '`logprobs` must be a whole number from 0 to 5 or null, not true.'],
    ['stop', '', '`stop` must be a non-empty string, a list of at most 4 non-empty strings, or null.'],
    ['stop', [''], '`stop` must be a non-empty string, a list of at most 4 non-empty strings, or null.'],
    [
      'stop',
      ['a', 'b', 'c', 'd', 'e'],
      '`stop` must be a non-empty string, a list of at most 4 non-empty strings, or null.',
    ],
    [
      'stop_token_ids',
      [259],
      '`stop_token_ids` has the token id 259, which is outside the vocabulary: its ids go from 0 to 258.',
    ],
    ['stop_token_ids', [-1], '`stop_token_ids[0]` must be a whole number of at least 0, not -1.'],
    [
      'logit_bias',
      { 259: 1 },
      '`logit_bias` has the token id 259, which is outside the vocabulary: its ids go from 0 to 258.',
    ],
    ['logit_bias', { the: 1 }, 'The keys of `logit_bias` must be token ids: whole numbers in quotes.'],
    ['logit_bias', { 5: 101 }, '`logit_bias[5]` must be a number from -100 to 100, not 101.'],
    ['logit_bias', [1], '`logit_bias` must be an object or null.'],
    ['seed', 1.5, '`seed` must be a 64-bit whole number or null, not 1.5.'],
    ['seed', 1e19, '`seed` must be a 64-bit whole number or null, not 10000000000000000000.'],
    ['stream', 'yes', '`stream` must be true or false or null.'],
    ['stream_options', { include_usage: true }, '`stream_options` needs `stream` to be true.'],
    ['prompt', '', /^`prompt` must be a non-empty string, a list of/],
    ['prompt', [], /^`prompt` must be a non-empty string, a list of/],
    ['prompt', [[]], /^`prompt` must be a non-empty string, a list of/],
    ['prompt', ['a', 1], /^`prompt` must be a non-empty string, a list of/],
    ['prompt', null, /^`prompt` must be a non-empty string, a list of/],
    ['prompt', [1.5], /^`prompt` must be a non-empty string, a list of/],
    [
      'prompt',
      [259],
      '`prompt` has the token id 259, which is outside the vocabulary: its ids go from 0 to 258.',
    ],
    ['prompt', [[5], [-1]], /^`prompt` must be a non-empty string, a list of/],
    ['prompt', 'a'.repeat(24), 'The prompt has 25 tokens; the model takes at most 24 tokens.'],
    ['prompt', ['a', 'a'.repeat(24)], 'Prompt 1 has 25 tokens; the model takes at most 24 tokens.'],
    [
      'suffix',
      'x',
      '`suffix` is not supported: the served models do not fill in the middle. Leave it out, or send `""`.',
    ],
    [
      'prompt_logprobs',
      1,
      "`prompt_logprobs` is not supported: 'tiny' is an encoder-decoder model, which has no log probabilities for its prompt. To get those of a prefix, send `completion_prefix` with `echo` and `logprobs`.",
    ],
    ['best_of', 21, '`best_of` must be a whole number from 1 to 20 or null, not 21.'],
    [
      'truncate_prompt_tokens',
      0,
      "`truncate_prompt_tokens` must be -1 or a whole number from 1 to 24, this model's maximum, not 0.",
    ],
    [
      'truncate_prompt_tokens',
      25,
      "`truncate_prompt_tokens` must be -1 or a whole number from 1 to 24, this model's maximum, not 25.",
    ],
    ['allowed_token_ids', [], '`allowed_token_ids` must be a list of at least 1 item or null.'],
    [
      'allowed_token_ids',
      [259],
      '`allowed_token_ids` has the token id 259, which is outside the vocabulary: its ids go from 0 to 258.',
    ],
    ['bad_words', [''], '`bad_words[0]` must be a non-empty string.'],
    ['request_id', 'a b', '`request_id` must be at most 128 letters, digits and `._:/+=@-`, or null.'],
    ['priority', 0.5, '`priority` must be a whole number from -2147483648 to 2147483647 or null, not 0.5.'],
    [
      'use_beam_search',
      true,
      '`use_beam_search` is not supported: the service has no beam search. Leave it out, or send `false`.',
    ],
    ['guided_json', {}, '`guided_json` is not supported: send `structured_outputs`.'],
    ['temprature', 1, '`temprature` is not a known field; did you mean `temperature`?'],
    ['zzz', 1, '`zzz` is not a known field.'],
  ])('%s: %j', async (param, value, message) => {
    const refused = await refusal({ prompt: 'a', [param]: value });
    expect(refused).toMatchObject({ ...invalid, param });
    expect(refused.message).toMatch(message);
    if (typeof message === 'string') expect(refused.message).toBe(message);
  });

  it('a prompt that is missing', async () => {
    expect(await refusal({})).toMatchObject({
      ...invalid,
      param: 'prompt',
      message: '`prompt` is required.',
    });
  });

  it('an unknown or unsupported field inside stream_options', async () => {
    const inside = (options: object) => refusal({ prompt: 'a', stream: true, stream_options: options });
    expect(await inside({ include_obfuscation: true })).toMatchObject({
      ...invalid,
      param: 'stream_options.include_obfuscation',
    });
    expect(await inside({ continuous: true })).toMatchObject({
      ...invalid,
      param: 'stream_options.continuous',
    });
  });

  it.each([
    [{ best_of: 2, n: 3 }, 'best_of', '`best_of` is 2; it must be at least `n`, which is 3.'],
    [
      { best_of: 2, stream: true },
      'best_of',
      '`best_of` above `n` cannot be combined with `stream`: the best choices are only known at the end.',
    ],
    [
      { echo: true, logprobs: 1 },
      'echo',
      "`echo` with `logprobs` is not supported: 'tiny' is an encoder-decoder model, which has no log probabilities for its prompt. To get those of a prefix, send `completion_prefix` with `echo` and `logprobs`.",
    ],
    [
      { prompt_logprobs: 1, stream: true },
      'prompt_logprobs',
      '`prompt_logprobs` cannot be combined with `stream`; use `echo` and `logprobs`.',
    ],
    [
      { completion_prefix: 'b', prompt_logprobs: 1 },
      'prompt_logprobs',
      "`prompt_logprobs` is not supported: 'tiny' is an encoder-decoder model, which has no log probabilities for its prompt. To get those of a prefix, send `completion_prefix` with `echo` and `logprobs`.",
    ],
    [
      { completion_prefix: ['b', 'c'] },
      'completion_prefix',
      '`completion_prefix` is a list of 2, but there is 1 prompt; send one prefix for each prompt.',
    ],
    [
      { prompt: ['a', 'b'], completion_prefix: [[5]] },
      'completion_prefix',
      '`completion_prefix` is a list of 1, but there are 2 prompts; send one prefix for each prompt.',
    ],
    [
      { completion_prefix: 'b'.repeat(32) },
      'completion_prefix',
      'The prefix has 32 tokens; the model takes at most 31 tokens.',
    ],
    [
      { prompt: ['a', 'b'], completion_prefix: ['b', 'b'.repeat(32)] },
      'completion_prefix',
      'Prefix 1 has 32 tokens; the model takes at most 31 tokens.',
    ],
    [
      { completion_prefix: 'b'.repeat(20), max_tokens: 13 },
      'max_tokens',
      '`max_tokens` is 13; this model generates at most 12 after a prefix of 20 tokens.',
    ],
    [
      { completion_prefix: [100_000] },
      'completion_prefix',
      expect.stringMatching(/^`completion_prefix` has the token id 100000/),
    ],
    [
      { completion_prefix: '' },
      'completion_prefix',
      '`completion_prefix` must be a non-empty string, a list of non-empty strings, a list of token ids, or a list of non-empty lists of token ids.',
    ],
    [
      { min_tokens: 2, max_tokens: 1 },
      'min_tokens',
      '`min_tokens` is 2; the request generates at most 1 tokens.',
    ],
    [{ max_tokens: 0 }, 'max_tokens', '`max_tokens` of 0 needs `echo` or `prompt_logprobs`.'],
    [
      { n: 2, temperature: 0 },
      'n',
      '`n` above 1 needs a `temperature` above 0; at 0, all choices would be the same.',
    ],
    [
      { best_of: 2, temperature: 0 },
      'best_of',
      '`best_of` above 1 needs a `temperature` above 0; at 0, all choices would be the same.',
    ],
  ])('%j', async (fields, param, message) => {
    expect(await refusal({ prompt: 'a', ...fields })).toMatchObject({ ...invalid, param, message });
  });

  it('prompt and max_tokens that do not fit a decoder-only model together', async () => {
    const decoderOnly = fakeServer({ models: [fakeModel('gpt', undefined, 'decoder-only')] });
    const refused = await refusal({ prompt: 'a'.repeat(15), max_tokens: 17 }, decoderOnly);
    expect(refused).toMatchObject({ ...invalid, param: 'max_tokens' });
    expect(refused.message).toBe(
      "The prompt's 16 tokens plus `max_tokens` of 17 exceed this model's limit of 32 tokens.",
    );
    expect(await refusal({ prompt: 'a'.repeat(31) }, decoderOnly)).toMatchObject({
      ...invalid,
      param: 'prompt',
    });
  });

  it('tokens that stand for images, from a model of text alone', async () => {
    const textOnly = fakeServer({ models: [fakeModel('gpt', undefined, 'decoder-only')] });
    expect(await refusal({ prompt: [5, 6, 258] }, textOnly)).toMatchObject({
      ...invalid,
      param: 'prompt',
      message: 'The prompt has the image token 258 at position 2; the model takes text only.',
    });
  });

  it('text that is too long without looking at its tokens, and lists up to the first one over a limit', async () => {
    const model = fakeModel('tiny');
    const encode = vi.spyOn(model.texts!, 'encode');
    const small = fakeServer({ models: [model], config: { maxQueuedTokens: 5 } });
    await refusal({ prompt: 'a'.repeat(10_000) }, small);
    expect(encode).not.toHaveBeenCalled();
    await refusal({ prompt: ['a', 'a', 'a', 'a', 'a'] }, small);
    expect(encode).toHaveBeenCalledTimes(3);
  });

  it('more than could ever wait at once', async () => {
    const small = fakeServer({ config: { maxQueuedRequests: 4, maxQueuedTokens: 20 } });
    expect(await refusal({ prompt: 'a', n: 5 }, small)).toMatchObject({ ...invalid, param: 'n' });
    expect(await refusal({ prompt: ['a', 'b', 'c'], n: 2 }, small)).toMatchObject({
      ...invalid,
      param: 'prompt',
    });
    const tokens = await refusal({ prompt: 'abcde', n: 4 }, small);
    expect(tokens).toMatchObject({ ...invalid, param: 'prompt' });
    expect(tokens.message).toBe(
      'The tokens up to prompt 0 add up to 6; with this `n`, the maximum is 5 (ALTUP_MAX_QUEUED_TOKENS, ALTUP_CLIENT_QUEUE_SHARE).',
    );
  });
});

it('a prefix for the decoder of a model that has nothing else is a 400', async () => {
  const models = [fakeModel('gpt', undefined, 'decoder-only')];
  expect(await refusal({ prompt: 'a', completion_prefix: 'b' }, fakeServer({ models }))).toMatchObject({
    ...invalid,
    param: 'completion_prefix',
    message:
      "`completion_prefix` is only for encoder-decoder models; 'gpt' continues its `prompt`, so append the prefix to that.",
  });
});
