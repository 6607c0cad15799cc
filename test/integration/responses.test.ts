import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNative } from '../native/native-addon.ts';
import { responseEvents } from '../support/fake-responses.ts';
import { ServiceProcess } from '../support/service-process.ts';

const model = join(import.meta.dirname, '../../models/austen-gemma3');
const parameters = {
  type: 'object',
  properties: { who: { enum: ['Emma', 'Darcy'] }, age: { type: 'integer', minimum: 0, maximum: 99 } },
  required: ['who', 'age'],
};
const invite = { name: 'invite', description: 'Invites to a ball.', parameters };
const question = { role: 'user', content: 'Who comes to the ball?' };
const settings = { seed: 1, max_output_tokens: 80 };

interface Answer {
  status: string;
  output: { type: string; name?: string; arguments?: string; content?: { text: string }[] }[];
  usage: { input_tokens: number; output_tokens: number; input_tokens_details: { cached_tokens: number } };
}

describeNative('responses of a real model', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({ ALTUP_MODELS: model });
  });
  afterAll(() => service.stop());

  const respond = async (fields: object) =>
    (await (await service.post('/v1/responses', { ...settings, ...fields })).json()) as Answer;

  it('are the chat’s answers in other words', async () => {
    const { seed } = settings;
    const messages = [{ role: 'system', content: 'Be brief.' }, question];
    const chat = await service.post('/v1/chat/completions', { messages, seed, max_completion_tokens: 80 });
    const { choices, usage } = (await chat.json()) as {
      choices: { message: { content: string } }[];
      usage: { prompt_tokens: number };
    };
    const answer = await respond({ instructions: 'Be brief.', input: [question] });
    expect(answer.output[0]!.content![0]!.text).toBe(choices[0]!.message.content);
    expect(answer.usage.input_tokens).toBe(usage.prompt_tokens);
    const streamed = await service.post('/v1/responses', {
      ...settings,
      instructions: 'Be brief.',
      input: [question],
      stream: true,
    });
    const last = responseEvents(await streamed.text()).at(-1)!.response as Answer;
    expect(last.output[0]!.content).toEqual(answer.output[0]!.content);
    expect(last.usage.input_tokens_details.cached_tokens).toBeGreaterThan(0);
  });

  it('call functions with valid arguments, and answer to their results', async () => {
    const tools = [{ type: 'function', ...invite }];
    const asked = { input: [question], tools, tool_choice: 'required', parallel_tool_calls: false };
    const { status, output } = await respond(asked);
    expect([status, output.map(({ type }) => type)]).toEqual(['completed', ['function_call']]);
    const given = JSON.parse(output[0]!.arguments!);
    expect(given).toEqual({ who: expect.stringMatching(/^(Emma|Darcy)$/), age: expect.any(Number) });
    const { call_id } = output[0] as unknown as { call_id: string };
    const result = { type: 'function_call_output', call_id, output: 'She comes.' };
    const next = await respond({ input: [question, ...output, result], tools });
    expect(['completed', 'incomplete']).toContain(next.status);
    const chatTools = [{ type: 'function', function: invite }];
    const chat = await service.post('/v1/chat/completions', {
      messages: [question],
      tools: chatTools,
      tool_choice: 'required',
      parallel_tool_calls: false,
      seed: 1,
    });
    const { choices } = (await chat.json()) as {
      choices: { message: { tool_calls: { function: { arguments: string } }[] } }[];
    };
    expect(output[0]!.arguments).toBe(choices[0]!.message.tool_calls[0]!.function.arguments);
  });

  it('are a document of their format or calls, if they may be both', async () => {
    const schema = { type: 'object', properties: { fine: { type: 'boolean' } }, required: ['fine'] };
    const body = { model: 'austen-gemma3', add_special_tokens: false };
    const without = async (character: string) => {
      const tokens = await service.post('/tokenize', { ...body, prompt: character });
      const [token] = ((await tokens.json()) as { tokens: number[] }).tokens;
      const { output } = await respond({
        input: [question],
        tools: [{ type: 'function', name: 'leave' }],
        parallel_tool_calls: false,
        text: { format: { type: 'json_schema', name: 'x', schema } },
        logit_bias: { [token!]: -100 },
      });
      return output[0]!;
    };
    const { content } = await without('<');
    expect(JSON.parse(content![0]!.text)).toEqual({ fine: expect.any(Boolean) });
    expect(await without('{')).toMatchObject({ type: 'function_call', name: 'leave', arguments: '{}' });
  });

  it('match their schema', async () => {
    const format = { type: 'json_schema', name: 'guest', schema: parameters, strict: true };
    const { output } = await respond({ input: 'Who?', text: { format } });
    expect(JSON.parse(output[0]!.content![0]!.text)).toEqual({
      who: expect.any(String),
      age: expect.any(Number),
    });
  });
});
