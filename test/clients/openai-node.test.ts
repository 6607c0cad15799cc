import OpenAI, { APIError } from 'openai';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParams,
  ChatCompletionMessageParam,
} from 'openai/resources/chat';
import type { Completion, CompletionCreateParams } from 'openai/resources/completions';
import { expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';
import calls from './calls.json' with { type: 'json' };

interface Expected {
  status?: number;
  code?: string;
  param?: string;
  ids?: string[];
  id?: string;
  choices?: number;
  finish?: string;
  tokens?: number;
  logprobs?: number;
  begins?: string;
  differ?: boolean;
  sameAs?: string;
}

interface Call {
  name: string;
  call: string;
  id?: string;
  key?: string;
  body?: Record<string, unknown>;
  expect: Expected;
}

interface Choice {
  text: string;
  finish: string | null;
  logprobs: number;
}

interface Answer {
  choices: Choice[];
  tokens: number | null;
}

const model = 'chat-model';

function add(answer: Answer, part: Completion | ChatCompletion | ChatCompletionChunk): void {
  answer.tokens = part.usage?.completion_tokens ?? answer.tokens;
  for (const piece of part.choices) {
    answer.choices[piece.index] ??= { text: '', finish: null, logprobs: 0 };
    const choice = answer.choices[piece.index]!;
    if ('text' in piece) choice.text += piece.text;
    else if ('delta' in piece) choice.text += piece.delta.content ?? '';
    else choice.text += piece.message.content ?? '';
    if (piece.logprobs) {
      choice.logprobs +=
        'tokens' in piece.logprobs
          ? (piece.logprobs.tokens?.length ?? 0)
          : ((piece.logprobs as { content: unknown[] | null }).content?.length ?? 0);
    }
    choice.finish = piece.finish_reason ?? choice.finish;
  }
}

async function generate(client: OpenAI, { call, body }: Call): Promise<Answer> {
  const answer: Answer = { choices: [], tokens: null };
  const created =
    call === 'chat'
      ? await client.chat.completions.create({ ...body, model } as ChatCompletionCreateParams)
      : await client.completions.create({ ...body, model } as unknown as CompletionCreateParams);
  if (!(Symbol.asyncIterator in created)) add(answer, created);
  else for await (const chunk of created) add(answer, chunk);
  return answer;
}

async function result(client: OpenAI, call: Call): Promise<Answer | string[] | string> {
  if (call.call === 'models.list') return (await client.models.list()).data.map(({ id }) => id);
  if (call.call === 'models.retrieve') return (await client.models.retrieve(call.id!)).id;
  return generate(client, call);
}

function check(
  { name, expect: expected }: Call,
  found: Awaited<ReturnType<typeof result>>,
  seen: Map<string, string[]>,
) {
  expect(expected.status, name).toBeUndefined();
  if (typeof found === 'string') return expect(found, name).toBe(expected.id);
  if (Array.isArray(found)) return expect(found, name).toEqual(expected.ids);
  const texts = found.choices.map(({ text }) => text);
  seen.set(name, texts);
  expect(texts.length, name).toBe(expected.choices);
  if (expected.tokens !== undefined) expect(found.tokens, name).toBe(expected.tokens);
  if (expected.differ) expect(new Set(texts).size, name).toBeGreaterThan(1);
  if (expected.sameAs) expect(texts, name).toEqual(seen.get(expected.sameAs));
  for (const { text, finish, logprobs } of found.choices) {
    expect(text.startsWith(expected.begins ?? ''), name).toBe(true);
    expect(['stop', 'length'], name).toContain(finish);
    if (expected.finish) expect(finish, name).toBe(expected.finish);
    expect(logprobs, name).toBe(expected.logprobs ?? 0);
  }
}

/** Starts a service that serves `model`. @returns a function that creates a client with an API key */
async function startService(): Promise<(apiKey: string) => OpenAI> {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel(model),
    ALTUP_API_KEYS: 'sesame',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  return (apiKey) => new OpenAI({ baseURL: `${service.url}/v1`, apiKey, maxRetries: 0 });
}

it('OpenAI’s own client for Node gets what it expects from every call', async () => {
  const clientFor = await startService();
  const seen = new Map<string, string[]>();
  expect(calls.length).toBeGreaterThanOrEqual(20);
  for (const call of calls as Call[]) {
    try {
      check(call, await result(clientFor(call.key ?? 'sesame'), call), seen);
    } catch (error) {
      if (!(error instanceof APIError)) throw error;
      const { status, code, param } = error;
      expect({ status, code, param }, call.name).toMatchObject(call.expect);
    }
  }
});

it('takes back what that client makes of its answers', async () => {
  const { chat } = (await startService())('sesame');
  const question = { role: 'user' as const, content: 'Who is he?' };
  const settings = { model, messages: [question], temperature: 0, max_completion_tokens: 40 };
  // The client's stream helper only accepts answers that end by themselves.
  const asked = { ...settings, structured_outputs: { choice: ['A proud man.'] } };
  const schema = {
    type: 'object',
    properties: { he: { type: 'boolean' } },
    required: ['he'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema' as const, json_schema: { name: 'answer', schema } };

  const message = async (created: PromiseLike<ChatCompletion>) => (await created).choices[0]!.message;
  const accumulated: Record<string, unknown> = {};
  for await (const { choices } of await chat.completions.create({ ...asked, stream: true })) {
    for (const [name, value] of Object.entries(choices[0]!.delta)) {
      const before = accumulated[name];
      accumulated[name] = typeof before === 'string' && typeof value === 'string' ? before + value : value;
    }
  }
  // Each view has the same text, so the model continues each in the same way.
  const views = {
    message: await message(chat.completions.create(asked)),
    chunks: { role: 'assistant', ...accumulated },
    stream: await chat.completions.stream(asked).finalMessage(),
    'stream of a completion': await message(chat.completions.stream(asked).finalChatCompletion()),
  };
  const goOn = async (view: unknown) => {
    const messages = [question, view, question] as ChatCompletionMessageParam[];
    return (await message(chat.completions.create({ ...settings, messages }))).content;
  };
  const answers = await Promise.all(Object.values(views).map(goOn));
  expect(new Set(answers).size, JSON.stringify({ views, answers })).toBe(1);
  const parsed = await message(chat.completions.parse({ ...settings, response_format: format }));
  expect(parsed).toHaveProperty('parsed');
  expect(await goOn(parsed)).toEqual(expect.any(String));
});

it('calls tools with that client, and runs them', async () => {
  const { chat } = (await startService())('sesame');
  const parameters = {
    type: 'object',
    properties: { city: { enum: ['Bath', 'Lyme'] }, tomorrow: { type: 'boolean' } },
    required: ['city', 'tomorrow'],
  };
  const tools = [{ type: 'function' as const, function: { name: 'look', parameters } }];
  const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'Is it fine in Bath?' }];
  const settings = { model, messages, seed: 3, max_completion_tokens: 120, parallel_tool_calls: false };
  const asked = { ...settings, tools, tool_choice: 'required' as const };

  const [choice] = (await chat.completions.create(asked)).choices;
  expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
  const streamed = await chat.completions.stream(asked).finalMessage();
  const functions = [choice!.message, streamed].map(({ tool_calls: [call] = [] }) => {
    if (call?.type !== 'function') throw new Error('no call of a function');
    expect(JSON.parse(call.function.arguments)).toEqual({
      city: expect.stringMatching(/^(Bath|Lyme)$/),
      tomorrow: expect.any(Boolean),
    });
    return call.function.arguments;
  });
  expect(functions[1]).toBe(functions[0]);
  for (const message of [choice!.message, streamed]) {
    const result = {
      role: 'tool' as const,
      tool_call_id: message.tool_calls![0]!.id,
      content: 'It is fine.',
    };
    const history = [...messages, message, result] as ChatCompletionMessageParam[];
    const next = await chat.completions.create({ ...settings, tools, messages: history });
    expect(next.choices[0]!.message.role).toBe('assistant');
  }

  const calls: object[] = [];
  const runner = chat.completions.runTools(
    {
      ...settings,
      tool_choice: { type: 'function', function: { name: 'look' } },
      tools: [
        {
          type: 'function',
          function: {
            name: 'look',
            description: 'Tells the weather.',
            parameters,
            parse: JSON.parse,
            function: (given: object) => {
              calls.push(given);
              return 'It is fine.';
            },
          },
        },
      ],
    },
    { maxChatCompletions: 1 },
  );
  await runner.done();
  expect(calls).toEqual([{ city: expect.any(String), tomorrow: expect.any(Boolean) }]);
});

it('embeds texts with that client', async () => {
  const { embeddings } = (await startService())('sesame');
  const input = ['It was a', 'She had not been long in the room'];
  // Without a format, the client asks for base64 and decodes it.
  const decoded = await embeddings.create({ model, input });
  const plain = await embeddings.create({ model, input, encoding_format: 'float' });
  expect(plain.usage.prompt_tokens).toBeGreaterThan(input.length);
  expect(decoded).toEqual(plain);
  expect(plain.data.map(({ index, embedding }) => [index, embedding.length])).toEqual([
    [0, 128],
    [1, 128],
  ]);
  expect((await embeddings.create({ model, input: input[1]! })).data[0]!.embedding).toEqual(
    plain.data[1]!.embedding,
  );
  await expect(embeddings.create({ model, input, dimensions: 64 })).rejects.toMatchObject({
    status: 400,
    param: 'dimensions',
  });
});
