import { describe, expect, it } from 'vitest';
import type { GenerationEvent, GenerationRequest } from '../../src/engine/protocol/generation.ts';
import { ChatRequestSchema } from '../../src/http/chat/chat-request.ts';
import { CompletionRequestSchema } from '../../src/http/completions/completion-request.ts';
import { EmbeddingsRequestSchema } from '../../src/http/embeddings/embeddings-schemas.ts';
import { ResponsesRequestSchema } from '../../src/http/responses/responses-request.ts';
import { textEvents } from '../support/fake-engine.ts';
import { responseEvents, responsesServer } from '../support/fake-responses.ts';
import { fakeServer } from '../support/fake-server.ts';
import { readDoc, tableRows } from '../support/markdown-table.ts';
import { OpenAITypes } from '../support/openai-types.ts';

interface Schema {
  type?: string | string[];
  enum?: unknown[];
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  'x-unsupported'?: string;
  'x-unused'?: string;
}

const chats = new OpenAITypes('chat/completions/completions');
const responses = new OpenAITypes('responses/responses');
const shared = new OpenAITypes('shared');
const named = (types: OpenAITypes, ...names: string[]) => [
  ...new Set(names.flatMap((name) => types.members(name))),
];

const user = { role: 'user', content: 'a' };
const call = { type: 'function_call', call_id: '1', name: 'now', arguments: '{}' };

interface Api {
  name: string;
  url: string;
  schema: unknown;
  /** A body that is answered. */
  body: Record<string, unknown>;
  /** OpenAI's fields, by the place of their object. */
  fields: Record<string, string[]>;
  /** An object at each place, for a field to be added to. */
  objects: Record<string, object>;
}

const streamOptions = named(chats, 'ChatCompletionStreamOptions');

const apis: Api[] = [
  {
    name: 'completions',
    url: '/v1/completions',
    schema: CompletionRequestSchema,
    body: { prompt: 'a' },
    fields: {
      '': named(new OpenAITypes('completions'), 'CompletionCreateParamsBase'),
      'stream_options.': streamOptions,
    },
    objects: { 'stream_options.': { stream: true, stream_options: {} } },
  },
  {
    name: 'chats',
    url: '/v1/chat/completions',
    schema: ChatRequestSchema,
    body: { messages: [user] },
    fields: {
      '': named(chats, 'ChatCompletionCreateParamsBase'),
      'messages[].': named(
        chats,
        'ChatCompletionDeveloperMessageParam',
        'ChatCompletionUserMessageParam',
        'ChatCompletionAssistantMessageParam',
        'ChatCompletionToolMessageParam',
      ),
      'messages[].content[].': named(chats, 'ChatCompletionContentPartText'),
      'response_format.json_schema.': named(shared, 'ResponseFormatJSONSchema.JSONSchema'),
      'stream_options.': streamOptions,
      'tools[].function.': named(shared, 'FunctionDefinition'),
    },
    objects: {
      'messages[].': { messages: [{ role: 'assistant', content: 'a' }] },
      'messages[].content[].': { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] },
      'stream_options.': { stream: true, stream_options: {} },
    },
  },
  {
    name: 'responses',
    url: '/v1/responses',
    schema: ResponsesRequestSchema,
    body: { input: 'a' },
    fields: {
      '': named(responses, 'ResponseCreateParamsBase'),
      'input[].': named(
        responses,
        'EasyInputMessage',
        'ResponseOutputMessage',
        'ResponseFunctionToolCall',
        'ResponseInputItem.FunctionCallOutput',
        'ResponseInputItem.ItemReference',
        'ResponseReasoningItem',
      ),
      'input[].content[].': named(responses, 'ResponseInputText', 'ResponseOutputText'),
      'reasoning.': named(shared, 'Reasoning'),
      'stream_options.': named(responses, 'ResponseCreateParams.StreamOptions'),
      'text.': named(responses, 'ResponseTextConfig'),
      'text.format.': named(responses, 'ResponseFormatTextJSONSchemaConfig'),
      'tools[].': named(responses, 'FunctionTool'),
    },
    objects: {
      'input[].': { input: [user] },
      'input[].content[].': { input: [{ role: 'user', content: [{ type: 'input_text', text: 'a' }] }] },
      'reasoning.': { reasoning: {} },
      'stream_options.': { stream: true, stream_options: {} },
      'text.': { text: {} },
      'tools[].': { tools: [{ type: 'function', name: 'now' }], tool_choice: 'none' },
    },
  },
  {
    name: 'embeddings',
    url: '/v1/embeddings',
    schema: EmbeddingsRequestSchema,
    body: { input: 'a' },
    fields: { '': named(new OpenAITypes('embeddings'), 'EmbeddingCreateParams') },
    objects: {},
  },
];

const steps = (path: string) => path.split('.').filter((step) => step !== '');

/** The schema of a field; undefined: the service does not know it. */
function schemaOf({ schema }: Api, path: string): Schema | undefined {
  let at: Schema | undefined = schema as Schema;
  for (const step of steps(path)) {
    const name = step.replace('[]', '');
    at = at?.properties?.[name];
    if (step.endsWith('[]')) at = at?.items ?? at?.anyOf?.find(({ items }) => items)?.items;
  }
  return at;
}

type Fate = 'honoured' | 'refused' | 'without effect' | 'unknown';

function fateOf(schema: Schema | undefined): Fate {
  if (!schema) return 'unknown';
  if (schema['x-unsupported']) return 'refused';
  if (schema['x-unused']) return 'without effect';
  const inner = Object.values(schema.properties ?? {}).map(fateOf);
  // An object is what the fields in it are.
  if (inner.length === 0 || inner.includes('honoured')) return 'honoured';
  return inner.includes('refused') ? 'refused' : 'without effect';
}

const has = ({ fields }: Api, path: string) => {
  const [, place = '', name] = /^(.*\.)?([^.]+)$/.exec(path)!;
  return fields[place]?.includes(name!) ?? false;
};

const paths = [
  ...new Set(
    apis.flatMap(({ fields }) =>
      Object.entries(fields).flatMap(([at, names]) => names.map((name) => at + name)),
    ),
  ),
].sort((a, b) => Number(a.includes('.')) - Number(b.includes('.')) || a.localeCompare(b, 'en'));

it('docs/api.md has every field of OpenAI’s requests, as the schemas take it, and no other', () => {
  const rows = paths.map((path) => [
    `\`${path}\``,
    ...apis.map((api) => (has(api, path) ? fateOf(schemaOf(api, path)) : '')),
  ]);
  expect(rows.length).toBeGreaterThan(100);
  expect(rows.filter((row) => row.includes('unknown'))).toEqual([]);
  const header = ['field', ...apis.map(({ name }) => name)];
  const written = tableRows(readDoc('api.md'), header);
  expect(written, rows.map((row) => `| ${row.join(' | ')} |`).join('\n')).toEqual(rows);
});

const { app } = responsesServer();
const encoder = fakeServer().app;

async function send({ url, body }: Api, fields: object) {
  const server = url === '/v1/embeddings' ? encoder : app;
  const { statusCode, body: text } = await server.inject({
    method: 'POST',
    url,
    payload: { ...body, ...fields },
  });
  return { status: statusCode, text, error: statusCode === 200 ? null : JSON.parse(text).error };
}

/** A body's fields with a field added at its place. */
function placed({ objects }: Api, path: string, value: unknown): object {
  const [, place = '', name] = /^(.*\.)?([^.]+)$/.exec(path)!;
  if (place === '') return { [name!]: value };
  const fields = structuredClone(objects[place])!;
  let at = fields as Record<string, unknown>;
  for (const step of steps(place)) {
    const inner = at[step.replace('[]', '')];
    at = (Array.isArray(inner) ? inner[0] : inner) as Record<string, unknown>;
  }
  at[name!] = value;
  return fields;
}

const samples: Record<string, unknown> = { string: 'x', object: {}, array: [], boolean: true, integer: 7 };

describe.each(apis)('of $name', (api) => {
  const fated = (fate: Fate) =>
    paths.filter((path) => {
      const schema = has(api, path) ? schemaOf(api, path) : undefined;
      // Objects whose fields have rows of their own are empty here.
      return schema && !schema.properties && fateOf(schema) === fate;
    });

  it('refuses by name what it cannot honour, with the reason', async () => {
    for (const path of fated('refused')) {
      const schema = schemaOf(api, path)!;
      const { status, error } = await send(api, placed(api, path, { unheard: 'of' }));
      const name = path.split('.').at(-1)!;
      expect([path, status, error?.code]).toEqual([path, 400, 'invalid_request']);
      expect(error.message).toContain(`${name}\``);
      expect(error.message).toContain(schema['x-unsupported']);
    }
  });

  it('accepts what has no effect', async () => {
    for (const path of fated('without effect')) {
      const { type } = schemaOf(api, path)!;
      const { status, text } = await send(api, placed(api, path, samples[[type ?? 'string'].flat()[0]!]));
      expect([path, status], text).toEqual([path, 200]);
    }
  });
});

/** Values of OpenAI's that tell kinds of objects apart, and a body with each. */
const kinds: { of: string; values: string[]; api: string; fields: (value: string) => object }[] = [
  {
    of: 'roles of `messages`',
    values: chats.texts('ChatCompletionMessageParam', 'role'),
    api: 'chats',
    fields: (role) => ({
      messages: [user, { ...user, role, ...(role === 'tool' ? { tool_call_id: '1' } : {}) }],
    }),
  },
  {
    of: 'parts of `messages`',
    values: [...chats.texts('ChatCompletionContentPart'), 'refusal'],
    api: 'chats',
    fields: (type) => ({ messages: [{ role: 'user', content: [{ type, text: 'a' }] }] }),
  },
  {
    of: '`tools` of chats',
    values: chats.texts('ChatCompletionTool'),
    api: 'chats',
    fields: (type) => ({ tools: [{ type, function: { name: 'now' } }], tool_choice: 'none' }),
  },
  {
    of: 'items of `input`',
    values: responses.texts('ResponseInputItem'),
    api: 'responses',
    fields: (type) => ({
      input: [
        user,
        type === 'message'
          ? user
          : type === 'function_call'
            ? call
            : type === 'function_call_output'
              ? { type, call_id: '1', output: 'noon' }
              : { type },
      ],
    }),
  },
  {
    of: 'parts of items',
    values: [...responses.texts('ResponseInputContent'), 'output_text', 'refusal'],
    api: 'responses',
    fields: (type) => ({ input: [{ role: 'user', content: [{ type, text: 'a' }] }] }),
  },
  {
    of: '`tools` of responses',
    values: responses.texts('Tool'),
    api: 'responses',
    fields: (type) => ({ tools: [{ type, name: 'now' }], tool_choice: 'none' }),
  },
];

it('docs/api.md has every kind of message, part, item and tool, and whether it is taken', async () => {
  const rows: string[][] = [];
  for (const { of, values, api: name, fields } of kinds) {
    const api = apis.find((each) => each.name === name)!;
    const taken: string[] = [];
    const refused: string[] = [];
    for (const value of values) {
      const { status, text, error } = await send(api, fields(value));
      // References are resolved, and there is no such item.
      const isTaken = status === 200 || text.includes('does not store');
      (isTaken ? taken : refused).push(`\`${value}\``);
      if (isTaken) continue;
      expect([value, status]).toEqual([value, 400]);
      expect(fields('')).toHaveProperty(error.param);
      expect(error.message).toMatch(/type|role/);
    }
    rows.push([of, taken.join(', '), refused.join(', ')]);
  }
  const written = tableRows(readDoc('api.md'), ['kinds of', 'taken', 'refused']);
  expect(written, rows.map((row) => `| ${row.join(' | ')} |`).join('\n')).toEqual(rows);
});

it('docs/api.md has every event of a response’s stream, and whether it is sent', async () => {
  const sent = new Set<string>();
  const stream = async (script: Parameters<typeof responsesServer>[0]) => {
    const server = responsesServer(script);
    const tools = [{ type: 'function', name: 'now' }];
    const { body } = await server.post({ input: 'a', stream: true, tools });
    for (const { type } of responseEvents(body)) sent.add(type);
  };
  const written = 'Wait. <tool_call>{"name": "now", "arguments": {}}</tool_call>';
  await stream({ script: (request) => textEvents(request, written) });
  const ending = (request: GenerationRequest, end: object) => [
    ...textEvents(request, 'ok').slice(0, -1),
    { ...textEvents(request, '').at(-1)!, ...end } as GenerationEvent,
  ];
  await stream({ script: (request) => ending(request, { reason: 'length' }) });
  await stream({
    script: (request) => ending(request, { type: 'failed', code: 'engine_failure', message: 'broken' }),
  });
  const all = responses.texts('ResponseStreamEvent');
  const cell = (types: string[]) => types.map((type) => `\`${type}\``).join(', ');
  const rows = [
    ['sent', cell(all.filter((type) => sent.has(type)))],
    ['never sent', cell(all.filter((type) => !sent.has(type)))],
  ];
  expect([...sent].filter((type) => !all.includes(type))).toEqual([]);
  expect(
    tableRows(readDoc('api.md'), ['events', 'types']),
    rows.map((row) => `| ${row.join(' | ')} |`).join('\n'),
  ).toEqual(rows);
});
