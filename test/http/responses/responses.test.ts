import { describe, expect, it } from 'vitest';
import type { FinishReason } from '../../../src/engine/protocol/generation.ts';
import { type FakeEngine, textEvents } from '../../support/fake-engine.ts';
import { respond, responseEvents } from '../../support/fake-responses.ts';
import { tokenOf } from '../../support/fake-tokenizer.ts';
import { escapingTemplate } from '../../support/tool-templates.ts';

const look = {
  type: 'function',
  name: 'look',
  description: 'Tells the weather.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: true,
};
const now = { type: 'function', name: 'now' };

const answering =
  (text: string, reason: FinishReason = 'stop'): FakeEngine['script'] =>
  (request) =>
    textEvents(request, text).map((event) => (event.type === 'finished' ? { ...event, reason } : event));

const message = (text: string, status = 'completed') => ({
  type: 'message',
  id: expect.stringMatching(/^msg_[0-9a-f]{32}$/),
  role: 'assistant',
  status,
  content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
});
const call = (name: string, json: string, status = 'completed') => ({
  type: 'function_call',
  id: expect.stringMatching(/^fc_[0-9a-f]{32}$/),
  call_id: expect.stringMatching(/^call_\w{24}$/),
  name,
  arguments: json,
  status,
});

const written =
  'Wait.\n<tool_call>{"name": "look", "arguments": {"city": "Bath"}}</tool_call>\n<tool_call>{"name": "now", "arguments": {}}</tool_call>';

/** The answer whole and, with the same fields, as the last event of a stream. */
async function both(payload: object, script?: FakeEngine['script']) {
  const options = script ? { script } : {};
  const whole = (await respond(payload, options)).response.json();
  const { response } = await respond({ ...payload, stream: true }, options);
  const events = responseEvents(response.body);
  return { whole, events, streamed: events.at(-1)!.response as typeof whole };
}

/** An answer without what differs each time. */
const steady = (answer: object) =>
  JSON.parse(JSON.stringify(answer, (name, value) => (/(^|_)(id|at)$/.test(name) ? null : value)));

describe('the answer', () => {
  it('has OpenAI’s shape', async () => {
    const { response, submitted } = await respond({ metadata: { run: '7' }, top_p: 0.5 });
    expect(response.json()).toEqual({
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      object: 'response',
      created_at: expect.any(Number),
      completed_at: expect.any(Number),
      status: 'completed',
      error: null,
      incomplete_details: null,
      model: 'tiny',
      output: [message('ok')],
      usage: {
        input_tokens: 19,
        input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        output_tokens: 2,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 21,
      },
      instructions: null,
      max_output_tokens: null,
      metadata: { run: '7' },
      parallel_tool_calls: true,
      temperature: 1,
      text: { format: { type: 'text' } },
      tool_choice: 'auto',
      tools: [],
      top_logprobs: 0,
      top_p: 0.5,
      background: false,
      access_programs: null,
      max_tool_calls: null,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      service_tier: 'default',
      store: false,
      truncation: 'disabled',
    });
    expect(submitted).toMatchObject({ maxTokens: 2048, sampling: { topP: 0.5 } });
  });

  it('has the calls after the text, whole and streamed', async () => {
    const { whole, streamed } = await both({ tools: [look, now] }, answering(written));
    expect(whole.output).toEqual([message('Wait.'), call('look', '{"city": "Bath"}'), call('now', '{}')]);
    expect(steady(streamed)).toEqual(steady(whole));
    expect(whole.tools).toEqual([look, { ...now, description: null, parameters: null, strict: false }]);
  });

  it('is incomplete if the length limit cuts it off', async () => {
    const text = await both({ max_output_tokens: 2 }, answering('ok', 'length'));
    expect(text.whole).toMatchObject({
      status: 'incomplete',
      completed_at: null,
      incomplete_details: { reason: 'max_output_tokens' },
      output: [message('ok', 'incomplete')],
    });
    expect(steady(text.streamed)).toEqual(steady(text.whole));
    expect(text.events.at(-1)!.type).toBe('response.incomplete');
    const cut = await both({ tools: [look, now] }, answering(written.slice(0, 58), 'length'));
    expect(cut.whole.output).toEqual([message('Wait.'), call('look', '{"city": "B', 'incomplete')]);
    expect(steady(cut.streamed)).toEqual(steady(cut.whole));
  });

  it('has an empty message if there is nothing else', async () => {
    const { whole, events } = await both({}, answering(''));
    expect(whole.output).toEqual([message('')]);
    expect(events.map(({ type }) => type)).not.toContain('response.output_text.delta');
  });

  it('has log probabilities of the text where asked, and not of calls', async () => {
    const asked = { include: ['message.output_text.logprobs'], top_logprobs: 1 };
    const scored =
      (...pieces: string[]): FakeEngine['script'] =>
      ({ id }) => [
        ...pieces.map((text) => ({
          type: 'tokens' as const,
          id,
          at: 1,
          tokens: [tokenOf(text[0] ?? '.')],
          text,
          logprobs: [{ logprob: -0.5, top: [{ token: tokenOf('z'), logprob: Number.NEGATIVE_INFINITY }] }],
        })),
        { type: 'finished', id, reason: 'stop', stopReason: null, text: '', at: 2 },
      ];
    const entry = (token: string) => ({
      token,
      bytes: [token.charCodeAt(0)],
      logprob: -0.5,
      top_logprobs: [{ token: 'z', bytes: [122], logprob: -9999 }],
    });
    const text = await both(asked, scored('h', 'i', ''));
    const entries = ['h', 'i', '.'].map(entry);
    expect(text.whole.output[0].content[0].logprobs).toEqual(entries);
    expect(steady(text.streamed)).toEqual(steady(text.whole));
    const deltas = text.events.filter(({ type }) => type === 'response.output_text.delta');
    expect(deltas.flatMap(({ logprobs }) => logprobs)).toEqual(entries);
    const { whole } = await both(
      { ...asked, tools: [now] },
      scored('a', '<tool_call>', '{"name": "now", "arguments": {}}', '</tool_call>', ''),
    );
    expect(whole.output[0].content[0].logprobs).toEqual([entry('a')]);
    expect((await respond({})).submitted!.logprobs).toBeNull();
    expect((await respond({ include: asked.include })).submitted!.logprobs).toBe(0);
  });
});

describe('a stream', () => {
  it('has every event of a text in order', async () => {
    const { events, whole } = await both({});
    const [created, progress, added] = events;
    const response = { ...whole, output: [], usage: null, status: 'in_progress', completed_at: null };
    for (const event of [created!, progress!])
      expect(steady(event.response as object)).toEqual(steady(response));
    const { id } = added!.item as { id: string };
    const place = { item_id: id, output_index: 0, content_index: 0 };
    const part = { type: 'output_text', text: '', annotations: [], logprobs: [] };
    const done = { ...message('ok'), id };
    expect(events.slice(2, -1)).toEqual([
      {
        type: 'response.output_item.added',
        output_index: 0,
        item: { ...done, status: 'in_progress', content: [] },
      },
      { type: 'response.content_part.added', ...place, part },
      { type: 'response.output_text.delta', ...place, delta: 'o', logprobs: [] },
      { type: 'response.output_text.delta', ...place, delta: 'k', logprobs: [] },
      { type: 'response.output_text.done', ...place, text: 'ok', logprobs: [] },
      { type: 'response.content_part.done', ...place, part: { ...part, text: 'ok' } },
      { type: 'response.output_item.done', output_index: 0, item: done },
    ]);
    expect(events.map(({ type }) => type).filter((type) => !/item|part|text/.test(type))).toEqual([
      'response.created',
      'response.in_progress',
      'response.completed',
    ]);
  });

  it('has the events of calls', async () => {
    const { events } = await both({ tools: [look, now] }, answering(written.slice(6)));
    const calls = events.filter(({ type }) => /item|arguments/.test(type));
    const ids = calls.flatMap(({ item }) => (item ? [(item as { id: string }).id] : []));
    expect(calls[0]).toEqual({
      type: 'response.output_item.added',
      output_index: 0,
      item: call('look', '', 'in_progress'),
    });
    const deltas = (index: number) =>
      calls
        .filter(({ type, output_index }) => type.endsWith('arguments.delta') && output_index === index)
        .map(({ delta }) => delta);
    expect(deltas(0).length).toBeGreaterThan(3);
    expect([deltas(0).join(''), deltas(1).join('')]).toEqual(['{"city": "Bath"}', '{}']);
    expect(calls.filter(({ type }) => type.endsWith('done'))).toEqual([
      {
        type: 'response.function_call_arguments.done',
        item_id: ids[0],
        output_index: 0,
        arguments: '{"city": "Bath"}',
      },
      { type: 'response.output_item.done', output_index: 0, item: call('look', '{"city": "Bath"}') },
      { type: 'response.function_call_arguments.done', item_id: ids[2], output_index: 1, arguments: '{}' },
      { type: 'response.output_item.done', output_index: 1, item: call('now', '{}') },
    ]);
  });

  it('ends a failed answer with an error and what there is of it', async () => {
    const script: FakeEngine['script'] = (request) => [
      ...textEvents(request, 'ok').slice(0, -1),
      {
        type: 'failed',
        id: request.id,
        code: 'engine_failure',
        message: 'broken',
        stage: 'decode',
        at: 4,
      },
    ];
    const { response, log } = await respond({ stream: true }, { script });
    const [error, failed] = responseEvents(response.body).slice(-2);
    expect(error).toEqual({ type: 'error', code: 'engine_failure', message: 'broken', param: null });
    expect(failed).toMatchObject({
      type: 'response.failed',
      response: {
        status: 'failed',
        error: { code: 'server_error', message: 'broken' },
        output: [message('ok', 'incomplete')],
      },
    });
    expect(log.at(-1)).toMatchObject({ route: '/v1/responses', errorCode: 'engine_failure' });
    expect((await respond({}, { script })).response.json().error.code).toBe('engine_failure');
  });
});

describe('what holds the text and the calls', () => {
  const schema = { type: 'object', properties: { a: { type: 'integer' } } };
  const grammarOf = async (fields: object) => {
    const { compiled, submitted, response } = await respond(fields);
    expect(response.statusCode, response.body).toBe(200);
    return { source: compiled[0], grammar: submitted!.sampling.grammar, answer: response.json() };
  };

  it('is the format of the text', async () => {
    const format = { type: 'json_schema', name: 'x', strict: true, schema };
    const { source, grammar, answer } = await grammarOf({ text: { format } });
    expect(source).toEqual({
      json: JSON.stringify({ ...schema, required: ['a'], additionalProperties: false }),
      isStrict: true,
    });
    expect([grammar, answer.text]).toEqual([42, { format }]);
    const loose = { type: 'json_schema', name: 'x', description: 'An x.', schema };
    expect(await grammarOf({ text: { format: loose } })).toMatchObject({
      source: { json: JSON.stringify({ ...schema, additionalProperties: false }) },
      answer: { text: { format: { ...loose, strict: false } } },
    });
    expect((await grammarOf({ text: { format: { type: 'json_object' } } })).source).toEqual({
      json: '{"type":"object"}',
    });
    expect((await grammarOf({ text: { format: { type: 'text' }, verbosity: 'medium' } })).grammar).toBeNull();
    expect((await grammarOf({ structured_outputs: { regex: 'a+' } })).source).toEqual({ regex: 'a+' });
  });

  it('is the format or the calls, if there are both', async () => {
    const format = { type: 'json_schema', name: 'x', strict: true, schema };
    const both = { text: { format }, tools: [look, now] };
    const { source, answer } = await grammarOf(both);
    const { lark, trigger } = source as { lark: string; trigger?: string };
    expect(lark).toMatch(/^format: %json \{.*"a".*"lenient":false/m);
    expect(lark).toContain('start: format | "<tool_call>" calls');
    expect([trigger, answer.text]).toEqual([undefined, { format }]);
    const required = (await grammarOf({ ...both, tool_choice: 'required' })).source as { lark: string };
    expect(required.lark).toContain('start: "<tool_call>" calls');
    const none = await grammarOf({ ...both, tool_choice: 'none' });
    expect(none.source).toMatchObject({ isStrict: true });
  });

  it('have letters for special tokens, which the answer does not show', async () => {
    const written = 'Wait\ufdd1.\ufdd0call:look{city:\ufdd1Bath\ufdd1}<end_function_call>';
    const { submitted, response } = await respond(
      { tools: [look] },
      {
        template: escapingTemplate,
        specials: ['<escape>', '<start_function_call>'],
        script: answering(written),
      },
    );
    expect(submitted!.specialTexts).toEqual(
      new Map([
        [1, '\ufdd0'],
        [0, '\ufdd1'],
      ]),
    );
    expect(response.json().output).toEqual([message('Wait.'), call('look', '{"city":"Bath"}')]);
  });

  it('are the functions that the model may call', async () => {
    const larkOf = async (fields: object) => {
      const { source, answer } = await grammarOf({ tools: [look, now], ...fields });
      return { ...(source as { lark: string; trigger?: string }), answer };
    };
    const auto = await larkOf({});
    expect(auto).toMatchObject({ trigger: '<tool_call>', answer: { tool_choice: 'auto' } });
    expect(auto.lark).toContain('call)*');
    const required = await larkOf({ tool_choice: 'required', parallel_tool_calls: false });
    expect(required.trigger).toBeUndefined();
    expect(required.lark).not.toContain('call)*');
    expect(required.answer.parallel_tool_calls).toBe(false);
    const named = await larkOf({ tool_choice: { type: 'function', name: 'now' } });
    expect(named.lark).not.toContain('look');
    expect(named.answer.tool_choice).toEqual({ type: 'function', name: 'now' });
    const choice = { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'look' }] };
    const allowed = await larkOf({ tool_choice: choice });
    expect(allowed.lark).not.toContain('"now');
    expect(allowed.trigger).toBe('<tool_call>');
  });
});

describe('a bad request is a 400 that names its field', () => {
  const format = (fields: object) => ({ text: { format: fields } });
  const withParameters = (parameters: object) => ({ tools: [now, { ...look, name: 'f', parameters }] });
  const long = 'a'.repeat(40);

  it.each<[object, string, string]>([
    [{ input: undefined }, 'input', '`input` is required.'],
    [{ max_output_tokens: 0 }, 'max_output_tokens', 'must be a whole number of at least 1'],
    [
      { max_output_tokens: 5000 },
      'max_output_tokens',
      '`max_output_tokens` of 5000 exceed this model’s limit',
    ],
    [{ max_tokens: 5 }, 'max_tokens', '`max_tokens` is not a known field'],
    [{ messages: [] }, 'messages', 'is not a known field'],
    [{ n: 2 }, 'n', 'is not a known field'],
    [{ top_logprobs: 2 }, 'top_logprobs', 'needs `"include": ["message.output_text.logprobs"]`'],
    [{ include: ['everything'] }, 'include', '`include[0]` must be one of "message.output_text.logprobs"'],
    [{ metadata: { a: 1 } }, 'metadata.a', 'must be a string'],
    [
      { previous_response_id: 'resp_1' },
      'previous_response_id',
      'this service stores no responses (ALTUP_RESPONSES_STORE); send the earlier items in `input`.',
    ],
    [{ conversation: 'conv_1' }, 'conversation', 'send the earlier items in `input`'],
    [{ background: true }, 'background', 'work ends with its connection'],
    [{ prompt: { id: 'p' } }, 'prompt', 'send the prompt itself'],
    [{ truncation: 'auto' }, 'truncation', 'Leave it out, or send `"disabled"`.'],
    [{ reasoning: { effort: 'low' } }, 'reasoning.effort', 'Leave it out, or send `"none"`.'],
    [{ text: { verbosity: 'low' } }, 'text.verbosity', 'Leave it out, or send `"medium"`.'],
    [format({ type: 'grammar' }), 'text.format.type', 'must be one of "text", "json_object", "json_schema"'],
    [format({ type: 'json_schema', name: 'x' }), 'text.format', '`text.format.schema` is required'],
    [format({ type: 'json_schema', schema: {} }), 'text.format', '`text.format.name` is required'],
    [format({ type: 'json_object', schema: {} }), 'text.format', 'needs the type `json_schema`'],
    [
      { ...format({ type: 'json_object' }), structured_outputs: { regex: 'a' } },
      'structured_outputs',
      '`structured_outputs` and `text.format` both constrain the text',
    ],
    [
      { structured_outputs: { regex: 'a' }, tools: [now] },
      'structured_outputs',
      '`structured_outputs` cannot be combined with `tools`: send `text.format`, leave one of them out',
    ],
    [
      { ...format({ type: 'json_schema', name: 'x', schema: { impossible: true } }), tools: [now] },
      'text.format',
      '`text.format` cannot be compiled: 2(9): it contradicts itself',
    ],
    [
      { tools: [{ type: 'web_search' }] },
      'tools',
      '`tools[0].type` must be `"function"`, the only kind of tool',
    ],
    [{ tools: [{ type: 'mcp', server_label: 'x' }] }, 'tools', '`tools[0].type` must be `"function"`'],
    [{ tools: [{ type: 'function', function: { name: 'x' } }] }, 'tools[0].name', 'is required'],
    [{ tools: [now, now] }, 'tools', '`tools[1].name` is `now`, which an earlier tool has'],
    [
      { tools: [now], tool_choice: { type: 'function', name: 'then' } },
      'tool_choice',
      'names the function `then`, which is not in `tools`',
    ],
    [
      {
        tools: [now],
        tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'then' }] },
      },
      'tool_choice',
      'names the function `then`',
    ],
    [{ tool_choice: 'required' }, 'tool_choice', '`tool_choice` needs `tools`'],
    [
      { tools: [now], tool_choice: { type: 'web_search' } },
      'tool_choice',
      '`"none"`, `"auto"`, `"required"`,',
    ],
    [withParameters({ type: 'string' }), 'tools', '`tools[1].parameters.type` must be `"object"`'],
    [withParameters({ properties: { impossible: {} } }), 'tools', '`tools[1].parameters` cannot be compiled'],
    [{ stream_options: { include_obfuscation: true } }, 'stream_options.include_obfuscation', 'send `false`'],
    [{ input: long.repeat(200) }, 'input', 'The chat has 8017 tokens; the model takes at most 4095 tokens.'],
  ])('%j', async (payload, param, text) => {
    const { response } = await respond(payload);
    expect(response.statusCode, response.body).toBe(400);
    expect(response.json().error).toMatchObject({ code: 'invalid_request', param });
    expect(response.json().error.message.replaceAll("'", '’')).toContain(text);
  });

  it('with a backend that cannot hold text to a structure', async () => {
    for (const fields of [{ tools: [now] }, format({ type: 'json_object' })]) {
      const { response } = await respond(fields, { backend: 'onnxruntime-node' });
      expect(response.json().error.message).toContain('needs the native backend');
    }
  });
});

it('metrics and the log know the route', async () => {
  const { response, metrics, log } = await respond({});
  const { text } = await metrics.render();
  expect(text).toContain('altup_requests_total{model="tiny",route="/v1/responses",status="200"} 1');
  expect(log.at(-1)).toMatchObject({
    route: '/v1/responses',
    model: 'tiny',
    completionId: response.json().id,
    promptTokens: 19,
    generatedTokens: 2,
  });
});
