import { describe, expect, it } from 'vitest';
import {
  withoutEffectInCalls,
  withoutEffectInChat,
  withoutEffectInCompletions,
  withoutEffectInFunctions,
  withoutEffectInItemParts,
  withoutEffectInItems,
  withoutEffectInMessages,
  withoutEffectInParts,
  withoutEffectInReasoning,
  withoutEffectInResponses,
  withoutEffectInStreamOptions,
  withoutEffectInText,
  withoutEffectInTools,
} from '../../src/http/generation/fields-without-effect.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';

const { app, engine } = fakeServer({ models: [fakeModel('tiny', undefined, 'decoder-only')] });

const completion = (fields: object) => ({ prompt: 'a', ...fields });
const chat = (fields: object) => ({ messages: [{ role: 'user', content: 'a' }], ...fields });
const answer = (fields: object) => chat({ messages: [{ role: 'assistant', content: 'a', ...fields }] });
const part = (fields: object) =>
  chat({ messages: [{ role: 'user', content: [{ type: 'text', text: 'a', ...fields }] }] });
const streamOptions = (fields: object) => chat({ stream: true, stream_options: fields });

const called = { name: 'now', arguments: '{}' };
const call = (fields: object) => {
  const calls = [{ id: '1', type: 'function', function: { ...called, ...fields }, ...fields }];
  return chat({
    messages: [
      { role: 'user', content: 'a' },
      { role: 'assistant', tool_calls: calls },
    ],
  });
};
const tool = (fields: object) =>
  chat({ tools: [{ type: 'function', function: { name: 'now' }, ...fields }], tool_choice: 'none' });

const response = (fields: object) => ({ input: 'a', ...fields });
const calling = { type: 'function_call', call_id: '1', ...called };
const item = (fields: object) => response({ input: [{ role: 'user', content: 'a', ...fields }] });
const callItem = (fields: object) =>
  response({
    input: [
      { role: 'user', content: 'a' },
      { ...calling, ...fields },
    ],
  });
const itemPart = (fields: object) =>
  response({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'a', ...fields }] }] });
const functionTool = (fields: object) =>
  response({ tools: [{ type: 'function', name: 'now', ...fields }], tool_choice: 'none' });
const responseStreamOptions = (fields: object) => response({ stream: true, stream_options: fields });

/** The route of a body by a field that only its bodies have; responses know `prompt` too. */
const urls = [
  ['input', '/v1/responses'],
  ['messages', '/v1/chat/completions'],
  ['prompt', '/v1/completions'],
] as const;

type Body = (fields: object) => object;

async function send(body: object) {
  engine.submitted.length = 0;
  const [, url] = urls.find(([field]) => field in body)!;
  const response = await app.inject({ method: 'POST', url, payload: { seed: 1, ...body } });
  return {
    status: response.statusCode,
    body: response.body,
    asked: engine.submitted.map(({ id: _, ...rest }) => rest),
  };
}

async function changesNothing(body: Body, fields: object) {
  const plain = await send(body({}));
  const sent = await send(body(fields));
  expect([sent.status, sent.status === 200 ? '' : sent.body]).toEqual([200, '']);
  expect(plain.asked).toHaveLength(1);
  expect(sent.asked).toEqual(plain.asked);
}

/** The name of each field of a table, with its schema. */
const fieldsOf = (table: object) =>
  Object.entries(table) as [string, { enum?: unknown[]; 'x-unused'?: string; 'x-unsupported'?: string }][];

const tables: [string, object, Body][] = [
  ['of a completion', withoutEffectInCompletions, completion],
  ['of a chat', withoutEffectInChat, chat],
  ['of a message', withoutEffectInMessages, answer],
  ['of a part', withoutEffectInParts, part],
  ['of a call', withoutEffectInCalls, call],
  ['of a tool', withoutEffectInTools, tool],
  ['of stream_options', withoutEffectInStreamOptions, streamOptions],
  ['of a response', withoutEffectInResponses, response],
  ['of text', withoutEffectInText, (fields) => response({ text: fields })],
  ['of reasoning', withoutEffectInReasoning, (fields) => response({ reasoning: fields })],
  ['of an item', withoutEffectInItems, item],
  ['of a call’s item', withoutEffectInItems, callItem],
  ['of an item’s part', withoutEffectInItemParts, itemPart],
  ['of a function', withoutEffectInFunctions, functionTool],
  ['of a response’s stream_options', withoutEffectInStreamOptions, responseStreamOptions],
];

const samples = ['x', 7, true, false, [], ['x'], {}, { x: { y: [1] } }, null];

describe.each(tables)('a field %s', (_what, table, body) => {
  it.each(fieldsOf(table))('%s changes nothing, or is refused', async (name, schema) => {
    for (const value of schema.enum ?? [null]) await changesNothing(body, { [name]: value });
    const taken: unknown[] = [];
    for (const value of samples) {
      const { status, body: text } = await send(body({ [name]: value }));
      if (status === 200) taken.push(value);
      else {
        expect(status).toBe(400);
        expect(text).toContain(`${name}\``);
      }
    }
    // The service accepted only values that change nothing.
    if (schema.enum) for (const value of taken) expect(schema.enum).toContainEqual(value);
    else for (const value of taken) await changesNothing(body, { [name]: value });
    if (schema['x-unused']) expect(taken.length).toBeGreaterThan(1);
  });
});

describe('a value that changes nothing is taken', () => {
  const tool = { type: 'function', function: { name: 'look', parameters: { type: 'object' } } };

  it.each([
    { suffix: '' },
    { stop: [] },
    { detokenize: true },
    { model: null },
    { logit_bias: {}, bad_words: [], stop_token_ids: [] },
    { n: 1, best_of: 1, echo: false, top_k: 0, top_p: 1, temperature: 1, presence_penalty: 0 },
    { user: 'me', metadata: { run: '7' }, prompt_cache_key: 'k', store: false, service_tier: 'default' },
    { stream: null, stream_options: null },
    { stream_options: {} },
    { stream_options: { include_usage: false, include_obfuscation: null } },
    { cache_salt: '', request_id: null, priority: 0, truncate_prompt_tokens: null, truncation_side: 'left' },
    { use_beam_search: false, length_penalty: 1, vllm_xargs: {}, spaces_between_special_tokens: true },
    { response_format: { type: 'text' }, structured_outputs: null },
  ])('by a completion: %j', (fields) => changesNothing(completion, fields));

  it.each([
    { modalities: ['text'] },
    { metadata: { run: '7' } },
    { tools: [] },
    { tools: [tool], tool_choice: 'none' },
    { functions: [tool.function], function_call: 'none' },
    { tool_choice: 'auto', parallel_tool_calls: true },
    { reasoning_effort: 'none', include_reasoning: true },
    { verbosity: 'medium' },
    { prompt_cache_key: 'k', prompt_cache_retention: '24h' },
    { prediction: { type: 'content', content: 'x' } },
    { stop: [], detokenize: true, documents: [] },
    { logprobs: false, top_logprobs: 0 },
  ])('by a chat: %j', (fields) => changesNothing(chat, fields));

  it.each([
    { annotations: null, audio: null, function_call: null, refusal: null, tool_calls: null },
    { annotations: [], tool_calls: [], reasoning_content: '', name: null },
    { parsed: { he: 'Darcy' }, provider_specific_fields: {} },
  ])('by a message: %j', (fields) => changesNothing(answer, fields));

  it.each([
    { store: true },
    { store: false, previous_response_id: null, conversation: null },
    { metadata: { run: '7' }, user: 'me', prompt_cache_key: 'k', service_tier: 'auto' },
    { include: ['reasoning.encrypted_content'], reasoning: { effort: null, summary: 'auto' } },
    { include: null, text: null, tools: null, tool_choice: null, reasoning: null, top_logprobs: 0 },
    { text: { format: { type: 'text' }, verbosity: null }, truncation: 'disabled' },
    { max_tool_calls: 3, parallel_tool_calls: false, background: false, stream_options: null },
  ])('by a response: %j', (fields) => changesNothing(response, fields));

  it.each([{ cache_control: { type: 'ephemeral' } }, { cache_control: null, annotations: [] }])(
    'by a part: %j',
    (fields) => changesNothing(part, fields),
  );
});

describe('a value that would change something is refused with what to send', () => {
  it.each([
    [completion, { suffix: 'x' }, 'suffix', 'Leave it out, or send `""`.'],
    [chat, { modalities: ['text', 'audio'] }, 'modalities', 'Leave it out, or send `["text"]`.'],
    [chat, { modalities: [] }, 'modalities', 'Leave it out, or send `["text"]`.'],
    [chat, { function_call: 'x' }, 'function_call', 'Leave it out, or send `"none"` or `"auto"`.'],
    [chat, { functions: [{}], tool_choice: 'none' }, 'functions', 'or any with `"function_call": "none"`.'],
    [chat, { reasoning_effort: 'low' }, 'reasoning_effort', 'Leave it out, or send `"none"`.'],
    [chat, { store: true }, 'store', 'Leave it out, or send `false`.'],
    [answer, { function_call: {} }, 'messages', 'send `tool_calls`.'],
    [response, { truncation: 'auto' }, 'truncation', 'Leave it out, or send `"disabled"`.'],
    [item, { namespace: 'mail' }, 'input', 'functions have no namespaces.'],
    [functionTool, { defer_loading: true }, 'tools', 'Leave it out, or send `false`.'],
    [answer, { audio: { id: 'x' } }, 'messages', 'the served models read and write only text.'],
    [
      streamOptions,
      { include_obfuscation: true },
      'stream_options.include_obfuscation',
      'Leave it out, or send `false`.',
    ],
    [chat, { stream_options: { include_usage: true } }, 'stream_options', 'needs `stream` to be true.'],
  ] as [Body, object, string, string][])('%#: %j', async (body, fields, param, words) => {
    const { status, body: text } = await send(body(fields));
    const { error } = JSON.parse(text);
    expect([status, error.param]).toEqual([400, param]);
    expect(error.message).toContain(words);
  });
});
