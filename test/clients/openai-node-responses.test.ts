import OpenAI, { APIError } from 'openai';
import type {
  Response,
  ResponseInputItem,
  ResponseOutputItem,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import { expect, it, onTestFinished } from 'vitest';
import type { ResponseObject } from '../../src/http/responses/response-object.ts';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

/** Fails to compile if our answers do not have the client's own type; the client adds `output_text`. */
const ofClient = (answer: ResponseObject): Omit<Response, 'output_text' | 'usage'> => answer;
const usageOfClient = (usage: NonNullable<ResponseObject['usage']>): NonNullable<Response['usage']> => usage;

const model = 'chat-model';
const question = { role: 'user' as const, content: 'Is it fine in Bath?' };
const settings = { model, temperature: 0, max_output_tokens: 120 };
const ending = { ...settings, input: 'Who is he?', structured_outputs: { choice: ['A proud man.'] } };
const parameters = {
  type: 'object',
  properties: { city: { enum: ['Bath', 'Lyme'] }, tomorrow: { type: 'boolean' } },
  required: ['city', 'tomorrow'],
  additionalProperties: false,
};
const look = { type: 'function' as const, name: 'look', parameters, strict: true };
const calling = {
  ...settings,
  input: [question],
  tools: [look],
  tool_choice: 'required' as const,
  parallel_tool_calls: false,
};

/** Starts a service. @returns it, and its responses for OpenAI's own client */
async function startService(settings: Record<string, string> = {}) {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel(model),
    ALTUP_API_KEYS: 'sesame',
    ALTUP_RESPONSES_STORE: '8MiB',
    ...settings,
  });
  onTestFinished(async () => void (await service.stop()));
  const { responses } = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: 'sesame', maxRetries: 0 });
  return { service, responses };
}

it('has the client’s types', () => {
  expect([ofClient, usageOfClient]).toHaveLength(2);
});

it('creates responses with OpenAI’s own client for Node, whole and streamed', async () => {
  const { responses } = await startService();
  const whole = await responses.create({ ...ending, instructions: 'Be brief.' });
  expect(whole).toMatchObject({ output_text: 'A proud man.', status: 'completed', store: true });
  const events: ResponseStreamEvent[] = [];
  for await (const event of await responses.create({ ...ending, stream: true })) events.push(event);
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
  const types = events.map(({ type }) => type);
  expect([types[0], types.at(-1)]).toEqual(['response.created', 'response.completed']);
  const deltas = events.flatMap((event) =>
    event.type === 'response.output_text.delta' ? [event.delta] : [],
  );
  expect(deltas.join('')).toBe('A proud man.');
  const helped = await responses.stream(ending).finalResponse();
  expect(helped).toMatchObject({ output_text: 'A proud man.', status: 'completed' });
  const cut = await responses
    .stream({ ...settings, input: 'Who is he?', max_output_tokens: 3 })
    .finalResponse();
  expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
});

it('parses text under a schema', async () => {
  const { responses } = await startService();
  const schema = {
    type: 'object',
    properties: { he: { enum: ['Darcy'] } },
    required: ['he'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema' as const, name: 'answer', strict: true, schema };
  const asked = { ...settings, input: [question], text: { format } };
  for (const answer of [await responses.parse(asked), await responses.stream(asked).finalResponse()])
    expect(answer.output_parsed).toEqual({ he: 'Darcy' });
});

it('calls functions, and takes back what the client makes of calls and texts', async () => {
  const { responses } = await startService();
  const parsed = await responses.parse(calling);
  const [call] = parsed.output;
  expect(call).toMatchObject({
    type: 'function_call',
    name: 'look',
    parsed_arguments: { city: expect.stringMatching(/^(Bath|Lyme)$/), tomorrow: expect.any(Boolean) },
  });
  const whole = await responses.create(calling);
  const streamed = await responses.stream(calling).finalResponse();
  const views: ResponseOutputItem[][] = [parsed.output, whole.output, streamed.output];
  const answers: string[] = [];
  for (const output of views) {
    const [made] = output;
    if (made?.type !== 'function_call') throw new Error('no call');
    const result = { type: 'function_call_output' as const, call_id: made.call_id, output: 'It is fine.' };
    const input = [question, ...(output as ResponseInputItem[]), result];
    answers.push((await responses.create({ ...settings, tools: [look], input })).output_text);
  }
  expect(new Set(answers).size).toBe(1);
  const texts: string[] = [];
  for (const { output } of [await responses.create(ending), await responses.stream(ending).finalResponse()]) {
    const input = [question, ...(output as ResponseInputItem[]), question];
    texts.push((await responses.create({ ...settings, input })).output_text);
  }
  expect(new Set(texts).size).toBe(1);
});

it('reads, continues and deletes stored responses', async () => {
  const { responses } = await startService();
  const first = await responses.create(ending);
  expect(await responses.retrieve(first.id)).toEqual(first);
  const next = await responses.create({ ...settings, input: 'And she?', previous_response_id: first.id });
  const items: unknown[] = [];
  for await (const item of responses.inputItems.list(next.id, { limit: 1, order: 'asc' })) items.push(item);
  expect(items).toMatchObject([{ role: 'user' }, first.output[0], { role: 'user' }]);
  const [{ id = '' } = {}] = first.output;
  const input = [question, { type: 'item_reference' as const, id }, question];
  const named = await responses.create({ ...settings, input });
  const sent = [question, ...(first.output as ResponseInputItem[]), question];
  expect(named.output_text).toBe((await responses.create({ ...settings, input: sent })).output_text);
  await responses.delete(first.id);
  await expect(responses.retrieve(first.id)).rejects.toMatchObject({ status: 404, code: 'not_found' });
});

it('has log probabilities', async () => {
  const { responses } = await startService();
  const include = ['message.output_text.logprobs' as const];
  const { output, usage } = await responses.create({ ...settings, input: 'a', include, top_logprobs: 2 });
  const [message] = output;
  if (message?.type !== 'message' || message.content[0]?.type !== 'output_text') throw new Error('no text');
  expect(message.content[0].logprobs).toHaveLength(usage!.output_tokens);
  expect(message.content[0].logprobs![0]!.top_logprobs).toHaveLength(2);
});

it('throws the error that ends a stream early', async () => {
  const { service, responses } = await startService({ ALTUP_DRAIN_TIMEOUT_MS: '0' });
  const asked = { ...settings, input: 'a', max_output_tokens: 400, ignore_eos: true, stream: true as const };
  let texts = 0;
  const read = async () => {
    for await (const { type } of await responses.create(asked)) {
      if (type === 'response.output_text.delta' && texts++ === 0) void service.stop();
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'shutting_down', type: 'error' });
  expect(texts).toBeGreaterThan(0);
});

it('refuses by name what it cannot do', async () => {
  const { responses } = await startService();
  const refusals: [object, string][] = [
    [{ tools: [{ type: 'web_search' }] }, 'tools'],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ background: true }, 'background'],
  ];
  for (const [fields, param] of refusals) {
    const asked = { ...settings, input: 'a', ...fields };
    const refusal = await responses.create(asked).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(APIError);
    expect(refusal).toMatchObject({ status: 400, code: 'invalid_request', param });
  }
});
