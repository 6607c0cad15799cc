import { describe, expect, it } from 'vitest';
import { respond } from '../../support/fake-responses.ts';
import { taggingTemplate } from '../../support/tool-templates.ts';

const prompted = async (payload: object, template?: string) => {
  const { prompt, response } = await respond(payload, template ? { template } : {});
  expect(response.statusCode, response.body).toBe(200);
  return prompt;
};

const user = (content: unknown) => ({ role: 'user', content });
const call = (id: string, name: string, json: string) => ({
  type: 'function_call',
  call_id: id,
  name,
  arguments: json,
});
const output = (id: string, text: unknown) => ({ type: 'function_call_output', call_id: id, output: text });

describe('the prompt', () => {
  it('is what the template makes of a text or of items', async () => {
    expect(await prompted({ input: 'hi' })).toBe('[user]hi[assistant]');
    const parts = [
      { type: 'input_text', text: 'a' },
      { type: 'input_text', text: 'b' },
    ];
    const answer = {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'c', annotations: [], logprobs: [], parsed: null }],
    };
    const items = [{ ...user(parts), type: 'message' }, answer, user('d')];
    expect(await prompted({ input: items })).toBe('[user]ab[assistant]c[user]d[assistant]');
  });

  it('begins with the instructions, joined with a system message that follows', async () => {
    expect(await prompted({ instructions: 'S' })).toBe('[system]S[user]hi[assistant]');
    const input = [{ role: 'developer', content: 'D' }, user('a')];
    expect(await prompted({ input })).toBe('[system]D[user]a[assistant]');
    expect(await prompted({ input, instructions: 'S' })).toBe('[system]S\n\nD[user]a[assistant]');
    const later = [user('a'), { role: 'system', content: 'D' }];
    expect(await prompted({ input: later, instructions: 'S' })).toBe('[system]S[user]a[system]D[assistant]');
  });

  it('leaves out empty items of reasoning', async () => {
    const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], content: [], encrypted_content: null };
    expect(await prompted({ input: [user('a'), reasoning] })).toBe('[user]a[assistant]');
  });

  it('has calls within the assistant’s message before them, and their outputs', async () => {
    const input = [
      user('a'),
      { role: 'assistant', content: 'Wait.' },
      { ...call('1', 'look', '{"city": "Bath"}'), id: 'fc_1', status: 'completed' },
      call('2', 'now', ''),
      output('1', 'fine'),
      output('2', [{ type: 'input_text', text: 'noon' }]),
      call('3', 'now', '{}'),
      output('3', 'one'),
    ];
    expect(await prompted({ input })).toBe(
      '[user]a[assistant]Wait.\n<tool_call>{"name": "look", "arguments": {"city": "Bath"}}</tool_call>\n' +
        '<tool_call>{"name": "now", "arguments": {}}</tool_call>[user]<tool_response>\nfine\n</tool_response>\n' +
        '<tool_response>\nnoon\n</tool_response>[assistant]<tool_call>{"name": "now", "arguments": {}}</tool_call>' +
        '[user]<tool_response>\none\n</tool_response>[assistant]',
    );
    const own = await prompted({ input }, taggingTemplate);
    expect(own).toContain('<tool_call>\n{"name": "look", "arguments": {"city": "Bath"}}\n</tool_call>');
  });

  it('has calls that were cut off, as text where the template takes it', async () => {
    const cut = { ...call('1', 'look', '{"city": "B'), id: 'fc_1', status: 'incomplete' };
    const input = [user('a'), cut, user('b')];
    expect(await prompted({ input })).toContain('{"name": "look", "arguments": {"city": "B}</tool_call>');
    expect(await prompted({ input }, taggingTemplate)).toContain('"arguments": "{\\"city\\": \\"B"}');
  });

  it('describes tools as in a chat', async () => {
    const tools = [{ type: 'function', name: 'look', description: 'Looks.', parameters: null, strict: null }];
    expect(await prompted({ tools })).toContain(
      '{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{}}}',
    );
    expect(await prompted({ tools }, taggingTemplate)).toContain(
      '{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}}',
    );
    expect(await prompted({ tools, tool_choice: 'none' })).toBe('[user]hi[assistant]');
  });
});

describe('a bad item is a 400 that names it', () => {
  it.each<[unknown, string, string]>([
    [[], 'input', '`input` must be a string or a list of at least 1 item.'],
    [7, 'input', '`input` must be a string or a list of at least 1 item, not 7.'],
    [[{ role: 'tool', content: 'a' }], 'input', '`input[0].role` must be one of "user", "assistant"'],
    [[{ role: 'user' }], 'input', '`input[0].content` is required in an item of the type `message`.'],
    [[{ content: 'a' }], 'input', '`input[0].role` is required in an item of the type `message`.'],
    [
      [{ type: 'web_search_call', id: 'ws_1', action: {}, status: 'completed' }],
      'input',
      '`input[0].type` must be `"message"`, `"function_call"`',
    ],
    [
      [user('a'), { type: 'item_reference', id: 'msg_1' }],
      'input',
      "`input[1]` names an item, 'msg_1', that this service does not store (ALTUP_RESPONSES_STORE); send the item itself.",
    ],
    [
      [user([{ type: 'input_image', image_url: 'data:,', detail: 'auto' }])],
      'input',
      '`input[0].content[0].type` must be `"input_text"` or `"output_text"`: the served models read only text.',
    ],
    [[user([{ type: 'input_file', file_id: 'x' }])], 'input', 'read only text'],
    [[user([{ type: 'input_audio', input_audio: {} }])], 'input', 'read only text'],
    [[user([{ type: 'input_text' }])], 'input[0].content[0].text', 'is required'],
    [
      [user([{ type: 'input_text', text: 'a', zebra: 1 }])],
      'input[0].content[0].zebra',
      'is not a known field',
    ],
    [[{ ...user('a'), contents: 'b' }], 'input[0].contents', 'did you mean `content`?'],
    [[{ ...user('a'), call_id: '1' }], 'input', '`input[0].call_id` does not belong to an item of the type'],
    [[user('a'), { ...call('1', 'now', '{}'), output: 'x' }], 'input', '`input[1].output` does not belong'],
    [[{ type: 'function_call', call_id: '1', name: 'now' }], 'input', '`input[0].arguments` is required'],
    [[output('1', null)], 'input', '`input[0].output` is required'],
    [
      [{ type: 'reasoning', summary: [{ type: 'summary_text', text: 'hm' }] }],
      'input',
      '`input[0].summary` is not supported: the served models do not separate reasoning',
    ],
    [
      [{ type: 'reasoning', summary: [], content: 'hm' }],
      'input',
      '`input[0].content` must be empty: the served models read no reasoning.',
    ],
    [
      [{ type: 'reasoning', summary: [], encrypted_content: 'gAAA' }],
      'input',
      '`input[0].encrypted_content` is not supported',
    ],
    [
      [{ role: 'assistant', content: 'a' }],
      'input',
      "The model's chat template refuses the messages: no user first",
    ],
  ])('%j', async (input, param, message) => {
    const { response } = await respond({ input });
    expect(response.statusCode, response.body).toBe(400);
    expect(response.json().error).toMatchObject({ code: 'invalid_request', param });
    expect(response.json().error.message).toContain(message);
  });

  it('and one with arguments that a template cannot get', async () => {
    const { response } = await respond(
      { input: [user('a'), call('1', 'now', '[1]')] },
      { template: taggingTemplate },
    );
    expect(response.json().error).toMatchObject({
      param: 'input',
      message: '`input[1].arguments` must be a JSON object, written as a string.',
    });
  });
});

it('unknown fields of items, parts and tools are ignored where the operator says so', async () => {
  const { response, prompt } = await respond(
    {
      input: [{ ...user([{ type: 'input_text', text: 'a', stripe: 1 }]), zebra: 2 }],
      tools: [{ type: 'function', name: 'now', spots: [] }],
      tool_choice: 'none',
      lion: 1,
    },
    { config: { unknownFields: 'ignore' } },
  );
  expect(response.statusCode, response.body).toBe(200);
  expect(prompt).toBe('[user]a[assistant]');
  expect(String(response.headers['x-ignored-fields']).split(', ').sort()).toEqual([
    'input[].content[].stripe',
    'input[].zebra',
    'lion',
    'tools[].spots',
  ]);
});
