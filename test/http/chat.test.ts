import { createParser } from 'eventsource-parser';
import { describe, expect, it } from 'vitest';
import { noDefaults } from '../../src/catalog/generation-defaults.ts';
import { ChatTemplate } from '../../src/catalog/tokenizer/chat-template.ts';
import { type FakeEngine, textEvents } from '../support/fake-engine.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { eos, fakeTexts, fakeTokenizer, tokenOf } from '../support/fake-tokenizer.ts';

const template = new ChatTemplate(
  "{% for m in messages %}{% if m.role == 'assistant' and loop.first %}{{ raise_exception('no user first') }}{% endif %}" +
    "{{ m.role[0] }}{{ m.name if m.name else '' }}:{{ m.content }}{{ mark if mark else ';' }}{% endfor %}{% if add_generation_prompt %}>{% endif %}",
);
const chatModel = (overrides: object = {}) => ({
  ...fakeModel('tiny', undefined, 'decoder-only'),
  texts: fakeTexts(template),
  ...overrides,
});
const user = (content: unknown) => ({ role: 'user', content });

async function chat(payload: object, model: object = {}, script?: FakeEngine['script']) {
  const server = fakeServer({ models: [chatModel(model)] });
  if (script) server.engine.script = script;
  const response = await server.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  return { ...server, response, status: response.statusCode };
}

async function prompted(payload: object, model: object = {}): Promise<string> {
  const { engine, status, response } = await chat(payload, model);
  expect(status, response.body).toBe(200);
  return fakeTokenizer().decode(engine.submitted[0]!.promptTokens);
}

async function refusal(payload: object, model: object = {}) {
  const { response, status } = await chat(payload, model);
  expect(status).toBe(400);
  expect(Buffer.byteLength(response.body)).toBeLessThanOrEqual(2048);
  return response.json().error;
}

describe('the prompt', () => {
  it('is what the template makes of the messages, without special tokens of the tokenizer', async () => {
    const messages = [{ role: 'system', content: 'S' }, user('hi'), { role: 'assistant', content: 'yo' }];
    expect(await prompted({ messages })).toBe('s:S;u:hi;a:yo;>');
    expect(await prompted({ messages, add_special_tokens: true })).toBe('s:S;u:hi;a:yo;></s>');
    expect(await prompted({ messages, add_generation_prompt: false })).toBe('s:S;u:hi;a:yo;');
    expect(await prompted({ messages, chat_template_kwargs: { mark: '!' } })).toBe('s:S!u:hi!a:yo!>');
  });

  it('has text parts without a gap, developers as system and names', async () => {
    const parts = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    expect(await prompted({ messages: [{ role: 'developer', content: parts }] })).toBe('s:ab;>');
    expect(await prompted({ messages: [{ ...user('a'), name: 'Jo' }] })).toBe('uJo:a;>');
  });

  it('takes an assistant’s message as clients send it back', async () => {
    const back = { role: 'assistant', content: 'b', refusal: null, audio: null, tool_calls: null };
    expect(await prompted({ messages: [user('a'), back, user('c')] })).toBe('u:a;a:b;u:c;>');
  });

  it('ends within the last message where that is to go on', async () => {
    const options = { add_generation_prompt: false, continue_final_message: true };
    const messages = [user('a'), { role: 'assistant', content: 'It is ' }];
    expect(await prompted({ messages, ...options })).toBe('u:a;a:It is');
    expect(await refusal({ messages, continue_final_message: true })).toMatchObject({
      param: 'continue_final_message',
    });
    expect(await refusal({ messages: [user(' ')], ...options })).toMatchObject({
      param: 'continue_final_message',
    });
  });

  it.each(['<', 'e', 'end', 'a:', '\u2042'])(
    'ends behind the last text, %s, also if what follows has the same',
    async (content) => {
      const template = new ChatTemplate(
        '{% for m in messages %}{{ m.role[0] }}:{{ m.content }}<end>\u2042a:{% endfor %}',
      );
      const messages = [user('a'), { role: 'assistant', content }];
      const options = { add_generation_prompt: false, continue_final_message: true };
      expect(await prompted({ messages, ...options }, { texts: fakeTexts(template) })).toBe(
        `u:a<end>\u2042a:a:${content}`,
      );
    },
  );

  it('ends within the last part of a last message in parts', async () => {
    const template = new ChatTemplate(
      '{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %};{% endfor %}',
    );
    const content = ['It ', 'is '].map((text) => ({ type: 'text', text }));
    const payload = {
      messages: [user('a'), { role: 'assistant', content }],
      add_generation_prompt: false,
      continue_final_message: true,
    };
    expect(await prompted(payload, { texts: fakeTexts(template) })).toBe('a;<It ><is');
  });

  it('is cut from the front where asked', async () => {
    expect(await prompted({ messages: [user('abc')], truncate_prompt_tokens: 3 })).toBe('c;>');
    expect(await prompted({ messages: [user('a'.repeat(90))], truncate_prompt_tokens: -1 })).toHaveLength(31);
    const long = { messages: [user('a'.repeat(90))], truncate_prompt_tokens: -1 };
    expect(await prompted({ ...long, max_completion_tokens: 10 })).toHaveLength(22);
    const model = { defaults: { ...noDefaults, maxNewTokens: 7 } };
    expect(await prompted(long, model)).toHaveLength(25);
    expect(await prompted({ ...long, max_tokens: 31 })).toHaveLength(1);
    expect(await refusal({ ...long, max_tokens: 32 })).toMatchObject({
      param: 'max_tokens',
      message: "The prompt's 1 tokens plus `max_tokens` of 32 exceed this model's limit of 32 tokens.",
    });
  });
});

describe('what the engine is asked', () => {
  it('is all the room there is, and what the checkpoint’s authors want', async () => {
    const { engine } = await chat({ messages: [user('a')] });
    expect(engine.submitted[0]).toMatchObject({ maxTokens: 32 - 5, sampling: { temperature: 1, topK: 0 } });
    const defaults = { temperature: 0.6, topK: 64, topP: 0.95, minP: 0.1, repetitionPenalty: 1.1 };
    const model = { defaults: { ...noDefaults, ...defaults, maxNewTokens: 7 } };
    expect((await chat({ messages: [user('a')] }, model)).engine.submitted[0]).toMatchObject({
      maxTokens: 7,
      sampling: defaults,
    });
    const own = { temperature: 0, top_k: -1, top_p: 1, min_p: 0, repetition_penalty: 1 };
    expect((await chat({ messages: [user('a')], ...own }, model)).engine.submitted[0]).toMatchObject({
      sampling: { temperature: 0, topK: -1, topP: 1, minP: 0, repetitionPenalty: 1 },
    });
  });

  it('follows max_completion_tokens before max_tokens', async () => {
    const tokens = async (fields: object) =>
      (await chat({ messages: [user('a')], ...fields })).engine.submitted[0]!.maxTokens;
    expect(await tokens({ max_tokens: 4 })).toBe(4);
    expect(await tokens({ max_completion_tokens: 3, max_tokens: 4 })).toBe(3);
  });
});

describe('the answer', () => {
  it('has OpenAI’s shape', async () => {
    const { response } = await chat({ messages: [user('a')], n: 2 });
    const choice = {
      message: { role: 'assistant', content: 'ok', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
      stop_reason: null,
    };
    expect(response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'tiny',
      system_fingerprint: 'fp_0123456789ab',
      choices: [
        { index: 0, ...choice },
        { index: 1, ...choice },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 4,
        total_tokens: 9,
        prompt_tokens_details: { cached_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    });
  });

  const scored: FakeEngine['script'] = (request) => [
    {
      type: 'tokens',
      id: request.id,
      at: 1,
      tokens: [tokenOf('h')],
      text: 'h',
      logprobs: [{ logprob: -0.5, top: [{ token: eos, logprob: Number.NEGATIVE_INFINITY }] }],
    },
    {
      type: 'finished',
      id: request.id,
      reason: 'stop',
      stopReason: null,
      text: '!',
      at: 4,
    },
  ];
  const logprobs = {
    content: [
      {
        token: 'h',
        bytes: [104],
        logprob: -0.5,
        top_logprobs: [{ token: '</s>', bytes: [60, 47, 115, 62], logprob: -9999 }],
      },
    ],
    refusal: null,
  };

  it('has OpenAI’s log probabilities', async () => {
    const payload = { messages: [user('a')], logprobs: true, top_logprobs: 1 };
    const { response, engine } = await chat(payload, {}, scored);
    expect(response.json().choices[0].logprobs).toEqual(logprobs);
    expect(engine.submitted[0]!.logprobs).toBe(1);
  });

  it('has the tokens’ ids where asked', async () => {
    const { response } = await chat({ messages: [user('a')], return_token_ids: true });
    expect(response.json().choices[0]).toMatchObject({
      prompt_token_ids: [tokenOf('u'), tokenOf(':'), tokenOf('a'), tokenOf(';'), tokenOf('>')],
      token_ids: [100, 101],
    });
  });

  it('streams as deltas, the role first', async () => {
    const payload = { messages: [user('a')], stream: true, stream_options: { include_usage: true } };
    const { response } = await chat({ ...payload, logprobs: true, top_logprobs: 1 }, {}, scored);
    const events: string[] = [];
    createParser({ onEvent: ({ data }) => events.push(data) }).feed(response.body);
    expect(events.pop()).toBe('[DONE]');
    const chunks = events.map((data) => JSON.parse(data));
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({ object: 'chat.completion.chunk', model: 'tiny', id: chunks[0].id });
    }
    expect(chunks.map(({ choices }) => choices)).toEqual([
      [
        {
          index: 0,
          delta: { role: 'assistant', content: '', refusal: null },
          logprobs: null,
          finish_reason: null,
        },
      ],
      [{ index: 0, delta: { content: 'h' }, logprobs, finish_reason: null, stop_reason: null }],
      [{ index: 0, delta: { content: '!' }, logprobs: null, finish_reason: 'stop', stop_reason: null }],
      [],
    ]);
    expect(chunks.map(({ usage }) => usage)).toEqual([
      null,
      null,
      null,
      expect.objectContaining({ completion_tokens: 1 }),
    ]);
  });

  it('streams an end without text as an empty delta', async () => {
    const payload = { messages: [user('a')], stream: true };
    const { response } = await chat(payload, {}, (request) => textEvents(request, 'k'));
    expect(response.body).toContain('"delta":{},');
  });
});

describe('a bad request is a 400 that names its field', () => {
  it.each([
    [{}, 'messages', '`messages` is required.'],
    [{ messages: [] }, 'messages', '`messages` must be a list of at least 1 item.'],
    [
      { messages: [{ role: 'nobody', content: 'a' }] },
      'messages',
      '`messages[0].role` must be one of "system", "developer", "user", "assistant", "tool".',
    ],
    [
      { messages: [user(null)] },
      'messages',
      '`messages[0].content` must be a string or a list of parts with a `type`, not null; only a message with `tool_calls` needs none.',
    ],
    [
      { messages: [user([{ type: 'image_url', image_url: { url: 'x' } }])] },
      'messages',
      '`messages[0].content[0]` has the type `image_url`, which is not supported: the served models read only text.',
    ],
    [
      { messages: [user([{ type: 'input_audio', input_audio: {} }])] },
      'messages',
      '`messages[0].content[0]` has the type `input_audio`, which is not supported: the served models read only text.',
    ],
    [{ messages: [user([{ type: 'text' }])] }, 'messages', '`messages[0].content[0].text` must be a string.'],
    [
      { messages: [user([{ type: 'text', text: 'a', other: 1 }])] },
      'messages',
      '`messages[0].content[0].other` is not a known field.',
    ],
    [
      { messages: [{ ...user('a'), function_call: {} }] },
      'messages',
      '`messages[0].function_call` is not supported: send `tool_calls`.',
    ],
    [
      { messages: [{ role: 'assistant', content: 'a' }] },
      'messages',
      "The model's chat template refuses the messages: no user first",
    ],
    [
      { messages: [user('a')], chat_template_kwargs: { mark: 1, range: 2 } },
      'chat_template_kwargs',
      '`chat_template_kwargs.range` is not allowed: the service sets `range` itself.',
    ],
    [
      { messages: [user('a')], chat_template_kwargs: { add_generation_prompt: false } },
      'chat_template_kwargs',
      '`chat_template_kwargs.add_generation_prompt` is not allowed: the service sets `add_generation_prompt` itself.',
    ],
    [
      { messages: [user('a'.repeat(40))] },
      'messages',
      'The chat has 44 tokens; the model takes at most 31 tokens.',
    ],
    [
      { messages: [user('a')], max_tokens: 40 },
      'max_tokens',
      "The prompt's 5 tokens plus `max_tokens` of 40 exceed this model's limit of 32 tokens.",
    ],
    [
      { messages: [user('a')], max_completion_tokens: 40 },
      'max_completion_tokens',
      "The prompt's 5 tokens plus `max_completion_tokens` of 40 exceed this model's limit of 32 tokens.",
    ],
    [
      { messages: [user('a')], top_logprobs: 1 },
      'top_logprobs',
      '`top_logprobs` needs `logprobs` to be true.',
    ],
    [
      { messages: [user('a')], functions: [{}] },
      'functions',
      '`functions` is not supported: send `tools`. Leave it out, or send `[]` or any with `"function_call": "none"`.',
    ],
  ])('%j', async (payload, param, message) => {
    expect(await refusal(payload)).toMatchObject({ code: 'invalid_request', param, message });
  });

  it('a model without a chat template', async () => {
    const error = await refusal({ messages: [user('a')] }, { texts: fakeTexts(null) });
    expect(error).toMatchObject({ code: 'invalid_request', param: 'model' });
    expect(error.message).toBe(
      "'tiny' has no chat template: use /v1/completions, or put a chat_template.jinja into the model's folder.",
    );
  });
});
