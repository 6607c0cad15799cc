import { createParser } from 'eventsource-parser';
import { describe, expect, it } from 'vitest';
import { ChatTemplate } from '../../../src/catalog/tokenizer/chat-template.ts';
import { GrammarError, type GrammarSource } from '../../../src/sampling/grammar.ts';
import { type FakeEngine, textEvents } from '../../support/fake-engine.ts';
import { fakeModel, fakeServer } from '../../support/fake-server.ts';
import { fakeTexts, fakeTokenizer } from '../../support/fake-tokenizer.ts';
import { escapingTemplate, listingTemplate, taggingTemplate } from '../../support/tool-templates.ts';

const plainTemplate =
  '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}';
const gemmaTemplate =
  "{% for m in messages %}{% if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}";

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Tells the weather.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    strict: true,
  },
};
const now = { type: 'function', function: { name: 'now' } };
const named = (name: string) => ({ type: 'function', function: { name } });
const allowed = (mode: string, ...names: string[]) => ({
  type: 'allowed_tools',
  allowed_tools: { mode, tools: names.map(named) },
});
const ofSchema = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
});
const user = { role: 'user', content: 'Is it fine in Bath?' };
const call = (id: string, name: string, json: string) => ({
  id,
  type: 'function',
  function: { name, arguments: json },
});

const state = {
  state: 'ready',
  slots: 4,
  capacity: 4096,
  encoderCapacity: 0,
  encoderWidth: 0,
  cacheBudget: 0,
  isCacheLimit: false,
  runtime: { backend: 'native', executionProvider: 'cpu' },
} as const;

async function chat(
  fields: object,
  options: { template?: string; script?: FakeEngine['script']; backend?: string; specials?: string[] } = {},
) {
  const { template = plainTemplate, script, backend = 'native', specials } = options;
  const compiled: GrammarSource[] = [];
  const runtime = { ...state.runtime, backend } as typeof state.runtime;
  const server = fakeServer({
    models: [
      {
        ...fakeModel('tiny', { ...state, runtime }, 'decoder-only'),
        vocabulary: fakeTokenizer(specials),
        texts: fakeTexts(new ChatTemplate(template)),
      },
    ],
    compileGrammar: async (_, source) => {
      compiled.push(source);
      if ('lark' in source && source.lark.includes('impossible'))
        throw new GrammarError('2(9): it contradicts itself');
      return { id: 42 };
    },
  });
  if (script) server.engine.script = script;
  const payload = { messages: [user], tools: [weather, now], ...fields };
  const response = await server.app.inject({ method: 'POST', url: '/v1/chat/completions', payload });
  const [submitted] = server.engine.submitted;
  const prompt = submitted && fakeTokenizer().decode(submitted.promptTokens);
  return { response, prompt, compiled, submitted, status: response.statusCode };
}

const answering =
  (text: string): FakeEngine['script'] =>
  (request) =>
    textEvents(request, text);
const written =
  'Wait.\n<tool_call>{"name": "get_weather", "arguments": {"city": "Bath"}}</tool_call>\n<tool_call>{"name": "now", "arguments": {}}</tool_call>';
const calls = [
  {
    id: expect.stringMatching(/^call_\w{24}$/),
    type: 'function',
    function: { name: 'get_weather', arguments: '{"city": "Bath"}' },
  },
  {
    id: expect.stringMatching(/^call_\w{24}$/),
    type: 'function',
    function: { name: 'now', arguments: '{}' },
  },
];

describe('the prompt of a template that knows no tools', () => {
  it('describes them in the system message', async () => {
    const { prompt } = await chat({ messages: [{ role: 'system', content: 'Be short.' }, user] });
    expect(prompt).toMatch(/^\[system\]Be short\.\n\nYou can call these tools/);
    expect(prompt).toContain(JSON.stringify({ ...weather.function, strict: undefined }));
    expect(prompt).toContain('{"name":"now","parameters":{"type":"object","properties":{}}}');
    expect(prompt).toMatch(/\[user\]Is it fine in Bath\?\[assistant\]$/);
    expect((await chat({})).prompt).toMatch(/^\[system\]You can call/);
  });

  it('describes them in the user’s message where there is no system message', async () => {
    const { prompt } = await chat({}, { template: gemmaTemplate });
    expect(prompt).toMatch(/^\[user\]You can call [\s\S]*\n\nIs it fine in Bath\?$/);
  });

  it('has calls as the model writes them, and results as turns of the user', async () => {
    const messages = [
      user,
      {
        role: 'assistant',
        content: null,
        tool_calls: [call('1', 'get_weather', '{"city": "Bath"}'), call('2', 'now', '')],
      },
      { role: 'tool', tool_call_id: '1', content: 'fine' },
      { role: 'tool', tool_call_id: '2', content: [{ type: 'text', text: 'noon' }] },
      { role: 'user', content: 'And?' },
    ];
    const { prompt } = await chat({ messages, tool_choice: 'none' }, { template: gemmaTemplate });
    expect(prompt).toBe(
      '[user]Is it fine in Bath?[assistant]<tool_call>{"name": "get_weather", "arguments": {"city": "Bath"}}</tool_call>\n' +
        '<tool_call>{"name": "now", "arguments": {}}</tool_call>[user]<tool_response>\nfine\n</tool_response>\n' +
        '<tool_response>\nnoon\n</tool_response>\nAnd?',
    );
  });
});

it('a template gets of each tool what templates read, and nothing else', async () => {
  const tools = [{ ...weather, cache_control: { type: 'ephemeral' } }, now];
  const { prompt } = await chat({ tools }, { template: taggingTemplate });
  const described = /<tools>\n(.*)\n<\/tools>/s
    .exec(prompt!)![1]!
    .split('\n')
    .map((line) => JSON.parse(line));
  const { strict: _, ...read } = weather.function;
  expect(described).toEqual([
    { type: 'function', function: read },
    {
      type: 'function',
      function: { name: 'now', description: '', parameters: { type: 'object', properties: {} } },
    },
  ]);
});

it('a template that knows tools gets them, with calls and results', async () => {
  const messages = [
    user,
    { role: 'assistant', content: null, tool_calls: [call('1', 'get_weather', '{"city":"Bath"}')] },
    { role: 'tool', tool_call_id: '1', content: 'fine' },
  ];
  const { prompt } = await chat({ messages }, { template: taggingTemplate });
  expect(prompt).toContain('<tools>\n{"type": "function", "function": {"name": "get_weather"');
  expect(prompt).toContain(
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bath"}}\n</tool_call><|im_end|>',
  );
  expect(prompt).toContain('<tool_response>\nfine\n</tool_response>');
  expect(prompt).not.toContain('You can call');
});

it('gives calls ids of 9 letters for a template that takes no others, the same each time', async () => {
  const messages = [
    user,
    { role: 'assistant', tool_calls: [call('call_abc', 'now', '{}'), call('AbCdEfGh1', 'now', '{}')] },
    { role: 'tool', tool_call_id: 'call_abc', content: 'noon' },
    { role: 'tool', tool_call_id: 'AbCdEfGh1', content: 'noon' },
  ];
  const [first, second] = [
    await chat({ messages }, { template: listingTemplate }),
    await chat({ messages }, { template: listingTemplate }),
  ];
  expect(first.prompt).toBe(second.prompt);
  const [, short] = /"id": "([a-z0-9]{9})"/.exec(first.prompt!) ?? [];
  expect(first.prompt).toContain(
    `[TOOL_CALLS] [{"name": "now", "arguments": {}, "id": "${short}"}, {"name": "now", "arguments": {}, "id": "AbCdEfGh1"}]`,
  );
  expect(first.prompt).toContain(`"call_id": "${short}"}`);
  expect(first.prompt).toContain('"call_id": "AbCdEfGh1"}');
});

it.each([
  ['as text', taggingTemplate, '{"name": "now", "arguments": "{\\"city\\": \\"B"}'],
  ['without arguments, where it writes only objects', escapingTemplate, 'call:now{}<end_function_call>'],
])('a template gets a call that was cut off %s', async (_, template, written) => {
  const cut = { role: 'assistant', content: null, tool_calls: [call('1', 'now', '{"city": "B')] };
  const { prompt } = await chat({ messages: [user, cut, user] }, { template });
  expect(prompt).toContain(written);
});

describe('the grammar', () => {
  const larkOf = async (fields: object, template?: string) => {
    const { compiled, submitted } = await chat(fields, template ? { template } : {});
    expect(submitted!.sampling.grammar).toBe(42);
    return compiled[0] as { lark: string; trigger?: string; isAtStart?: boolean };
  };

  it('lets text go free until a call', async () => {
    const { lark, trigger } = await larkOf({});
    expect(trigger).toBe('<tool_call>');
    expect(lark).toMatch(/^args_0: %json \{.*"city".*\}\nargs_1: %json /);
    expect(lark).toContain('start: TEXT? | opening calls');
  });

  it('names special tokens by their ids, and has letters for them in the text', async () => {
    const options = { template: escapingTemplate, specials: ['<escape>', '</s>', '<start_function_call>'] };
    const { compiled, submitted } = await chat({}, options);
    const { lark, trigger } = compiled[0] as { lark: string; trigger?: string };
    expect(trigger).toBe('<start_function_call>');
    expect(lark).toContain('start: TEXT? | TEXT? <[2]> calls');
    expect(lark).toContain('calls: "call:" call (');
    expect(lark).toMatch(/ <\[0\]> TEXT_ARGS_0_\d+\? <\[0\]>$/m);
    expect(submitted).toMatchObject({
      skipSpecialTokens: true,
      specialTexts: new Map([
        [2, '\ufdd0'],
        [0, '\ufdd1'],
      ]),
    });
  });

  it('has a call only at the start, if it begins with a word or a brace', async () => {
    const bare = taggingTemplate.replaceAll('<tool_call>\n', '').replaceAll('\n</tool_call>', ';');
    const { lark, trigger, isAtStart } = await larkOf({}, bare);
    expect([trigger, isAtStart]).toEqual(['{"name": "', true]);
    expect(lark).toContain('start: TEXT? | "{\\"name\\": \\"" calls');
    expect(lark).toContain('TEXT: /(.|\\n)+/ & ~/\\{\\"name\\"\\: \\"(.|\\n)*/');
  });

  it('begins with a call where one is required, of the named function and only one', async () => {
    const required = await larkOf({ tool_choice: 'required' });
    expect(required.trigger).toBeUndefined();
    expect(required.lark).toContain('start: "<tool_call>" calls');
    expect(required.lark).toContain(')*');
    const named = await larkOf({ tool_choice: { type: 'function', function: { name: 'now' } } });
    expect(named.lark).not.toContain('get_weather');
    expect(named.lark).not.toContain(')*');
    expect((await larkOf({ parallel_tool_calls: false })).lark).not.toContain('call)*');
  });

  it('has only the allowed functions, of which the prompt still has all', async () => {
    const { prompt, compiled } = await chat({ tool_choice: allowed('required', 'now') });
    const { lark, trigger } = compiled[0] as { lark: string; trigger?: string };
    expect(lark).toMatch(/call: \("now\\", \\"arguments\\": " args_0\)$/m);
    expect(lark).toContain(')*');
    expect(trigger).toBeUndefined();
    expect(prompt).toContain('get_weather');
    expect((await larkOf({ tool_choice: allowed('auto', 'now') })).trigger).toBe('<tool_call>');
  });

  it('has the format as the other answer, unless a call is required', async () => {
    const format = ofSchema({ type: 'object', properties: { a: { type: 'null' } } });
    const { lark, trigger } = await larkOf({ ...format });
    expect(trigger).toBeUndefined();
    const [, , line] = lark.split('\n');
    expect(line).toMatch(/^format: %json \{.*"additionalProperties":false,.*"lenient":true/);
    expect(lark).toMatch(/^start: format \| "<tool_call>" calls$/m);
    expect((await larkOf({ ...format, tool_choice: 'required' })).lark).toMatch(
      /^start: "<tool_call>" calls$/m,
    );
    expect((await larkOf({ response_format: { type: 'text' } })).trigger).toBe('<tool_call>');
  });

  it('has the form of the template’s own calls', async () => {
    const { lark } = await larkOf({ tool_choice: 'required' }, taggingTemplate);
    expect(lark).toContain(JSON.stringify('\n{"name": "'));
  });

  it.each([undefined, null, {}, { type: 'object', description: 'None.' }, { properties: {} }])(
    'has no arguments for a function with the parameters %j',
    async (parameters) => {
      const none = { type: 'function', function: { name: 'f', parameters } };
      const { lark } = await larkOf({ tools: [none] });
      const schema = JSON.parse(lark.slice(lark.indexOf('{'), lark.indexOf('\n')));
      expect(schema).toMatchObject({ type: 'object', properties: {}, additionalProperties: false });
      expect((await larkOf({ tools: [none] }, escapingTemplate)).lark).toMatch(/^args_0: ""\n/);
    },
  );

  it('has any for one that is open', async () => {
    const parameters = { type: 'object', additionalProperties: true };
    const { lark } = await larkOf({ tools: [{ type: 'function', function: { name: 'f', parameters } }] });
    expect(lark).not.toContain('"additionalProperties":false');
  });

  it('enforces all of a strict schema, and what it can of the others', async () => {
    const { lark } = await larkOf({});
    const [first, second] = lark.split('\n', 2).map((line) => JSON.parse(line.slice(line.indexOf('{'))));
    expect([first, second].map((schema) => schema['x-guidance'].lenient)).toEqual([false, true]);
  });

  it('is not there if no tool may be called', async () => {
    const { compiled, prompt } = await chat({ tool_choice: 'none' });
    expect([compiled, prompt]).toEqual([[], '[user]Is it fine in Bath?[assistant]']);
  });
});

describe('the answer', () => {
  it('has the calls next to the text', async () => {
    const { response } = await chat({}, { script: answering(written) });
    expect(response.json().choices[0]).toMatchObject({
      message: { role: 'assistant', content: 'Wait.', refusal: null, tool_calls: calls },
      finish_reason: 'tool_calls',
    });
  });

  it('has no text if there are only calls, and no calls if there is only text', async () => {
    const only = await chat({}, { script: answering(written.slice(6)) });
    expect(only.response.json().choices[0].message).toMatchObject({ content: null, tool_calls: calls });
    const text = await chat({}, { script: answering('a <b') });
    expect(text.response.json().choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(text.response.json().choices[0].message).toEqual({
      role: 'assistant',
      content: 'a <b',
      refusal: null,
    });
  });

  it('is JSON of the format, even with the text of a call in it, or a call', async () => {
    const json = `{"a":${JSON.stringify(written)}}`;
    const format = { response_format: { type: 'json_object' } };
    const text = await chat(format, { script: answering(json) });
    expect(text.response.json().choices[0]).toMatchObject({
      message: { content: json },
      finish_reason: 'stop',
    });
    const called = await chat(format, { script: answering(written.slice(6)) });
    expect(called.response.json().choices[0].message).toMatchObject({ content: null, tool_calls: calls });
  });

  it('has what there is of a call that was cut off', async () => {
    const script: FakeEngine['script'] = (request) =>
      textEvents(request, written.slice(0, 65)).map((event) =>
        event.type === 'finished' ? { ...event, reason: 'length' as const } : event,
      );
    const { response } = await chat({}, { script });
    const { message, finish_reason } = response.json().choices[0];
    expect(finish_reason).toBe('length');
    expect(message.tool_calls).toEqual([
      { ...calls[0], function: { name: 'get_weather', arguments: '{"city": "B' } },
    ]);
  });

  it('streams as deltas, of which none holds the form of a call', async () => {
    const fields = { stream: true, n: 2, temperature: 1, tools: [now] };
    const { response } = await chat(fields, { script: answering(written) });
    const events: string[] = [];
    createParser({ onEvent: ({ data }) => events.push(data) }).feed(response.body);
    expect(events.pop(), response.body).toBe('[DONE]');
    const chunks = events.flatMap((data) => JSON.parse(data).choices);
    for (const index of [0, 1]) {
      const own = chunks.filter((chunk) => chunk.index === index);
      const deltas = own.map(({ delta }) => delta);
      expect(deltas[0]).toEqual({ role: 'assistant', content: '', refusal: null });
      expect(deltas.map(({ content }) => content ?? '').join('')).toBe('Wait.');
      const starts = deltas.flatMap(({ tool_calls: [first] = [] }) => (first?.id ? [first] : []));
      expect(starts).toEqual(
        calls.map((call, i) => ({ index: i, ...call, function: { ...call.function, arguments: '' } })),
      );
      const json = (i: number) =>
        deltas
          .flatMap(({ tool_calls: [first] = [] }) => (first?.index === i ? [first.function.arguments] : []))
          .join('');
      expect([json(0), json(1)]).toEqual(['{"city": "Bath"}', '{}']);
      expect(own.map(({ finish_reason }) => finish_reason).filter(Boolean)).toEqual(['tool_calls']);
    }
  });
});

describe('a request is refused', () => {
  const withParameters = (parameters: object) => ({
    tools: [now, { type: 'function', function: { name: 'f', parameters } }],
  });

  it.each<[object, string, string]>([
    [{ tools: [], tool_choice: 'required' }, 'tool_choice', '`tool_choice` needs `tools`'],
    [{ tools: null, tool_choice: named('now') }, 'tool_choice', '`tool_choice` needs `tools`'],
    [{ tool_choice: named('then') }, 'tool_choice', 'names the function `then`, which is not in `tools`'],
    [{ tool_choice: allowed('auto', 'now', 'then') }, 'tool_choice', 'names the function `then`'],
    [{ tool_choice: allowed('auto') }, 'tool_choice', '`{"type": "allowed_tools", "allowed_tools": {"mode"'],
    [{ tool_choice: allowed('none', 'now') }, 'tool_choice', '`"none"`, `"auto"`'],
    [{ tools: [], tool_choice: allowed('auto', 'now') }, 'tool_choice', '`tool_choice` needs `tools`'],
    [{ tool_choice: 'always' }, 'tool_choice', '`"none"`, `"auto"`, `"required"`, `{"type"'],
    [{ tools: [{ type: 'custom', custom: {} }] }, 'tools[0].function', 'is required'],
    [{ tools: [{ ...now, type: 'custom' }] }, 'tools', '`tools[0].type` must be `"function"`'],
    [
      { tools: [{ type: 'function', function: { name: 'a b' } }] },
      'tools',
      '`tools[0].function.name` must be a name of 1 to 64',
    ],
    [{ tools: [now, weather, now] }, 'tools', '`tools[2].function.name` is `now`, which an earlier tool has'],
    [
      { tools: Array.from({ length: 129 }, (_, i) => ({ type: 'function', function: { name: `f${i}` } })) },
      'tools',
      '`tools` must be a list of 0 to 128 items',
    ],
    [withParameters({ type: 'string' }), 'tools', '`tools[1].function.parameters.type` must be `"object"`'],
    [
      withParameters({ properties: { impossible: {} } }),
      'tools',
      '`tools[1].function.parameters` cannot be compiled: 2(9): it contradicts itself',
    ],
    [withParameters({ description: 'x'.repeat(70_000) }), 'tools', 'it may have at most 65536'],
    [
      { response_format: { type: 'json_schema' } },
      'response_format',
      '`response_format.json_schema.schema` is required',
    ],
    [
      { ...ofSchema({ impossible: true }), tools: [now] },
      'response_format',
      '`response_format` cannot be compiled: 2(9): it contradicts itself',
    ],
    [{ structured_outputs: { regex: 'a' } }, 'structured_outputs', 'cannot be combined with `tools`'],
    [{ min_tokens: 2 }, 'min_tokens', 'cannot be combined with `tools`'],
    [{ functions: [now.function] }, 'functions', 'send `tools`'],
    [{ chat_template_kwargs: { tools: [] } }, 'chat_template_kwargs', 'the service sets `tools` itself'],
    [
      { messages: [{ ...user, tool_calls: [call('1', 'now', '{}')] }] },
      'messages',
      '`messages[0].tool_calls` needs the role `assistant`',
    ],
    [
      { messages: [{ ...user, tool_call_id: '1' }] },
      'messages',
      '`messages[0].tool_call_id` needs the role `tool`',
    ],
    [
      { messages: [user, { role: 'tool', content: 'x' }] },
      'messages',
      '`messages[1].tool_call_id` is required',
    ],
    [{ messages: [user, { role: 'assistant' }] }, 'messages', '`messages[1].content` must be'],
    [
      {
        messages: [
          user,
          { role: 'assistant', tool_calls: [{ id: '1', type: 'function', function: { name: 'now' } }] },
        ],
      },
      'messages[1].tool_calls[0].function.arguments',
      'is required',
    ],
  ])('%j', async (fields, param, message) => {
    const { response, status } = await chat(fields);
    expect(status).toBe(400);
    expect(response.json().error).toMatchObject({ code: 'invalid_request', param });
    expect(response.json().error.message).toContain(message);
  });

  it.each([
    ['[1]', 'must be a JSON object, written as a string.'],
    [`{"a":${'['.repeat(100)}${']'.repeat(100)}}`, 'is nested more than 100 levels deep.'],
  ])('for arguments in the history that a template cannot get: %s', async (json, fault) => {
    const messages = [user, { role: 'assistant', content: null, tool_calls: [call('1', 'now', json)] }];
    const { response } = await chat({ messages }, { template: taggingTemplate });
    const { param, message } = response.json().error;
    expect([param, message]).toEqual([
      'messages',
      `\`messages[1].tool_calls[0].function.arguments\` ${fault}`,
    ]);
  });

  it('by a backend that cannot hold arguments to their schemas', async () => {
    const { response } = await chat({}, { backend: 'onnxruntime-node' });
    expect(response.json().error).toMatchObject({ param: 'tools' });
  });
});
