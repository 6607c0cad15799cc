import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateText, isStepCount, type LanguageModel, Output, streamText, tool } from 'ai';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { chatModel } from '../support/chat-model.ts';
import { ServiceProcess } from '../support/service-process.ts';

const look = z.object({ city: z.enum(['Bath', 'Lyme']), tomorrow: z.boolean() });

/** What a person does first: a text, a tool that is run, its result sent back, and an object; whole and streamed. */
async function use(model: LanguageModel) {
  const asked = { model, prompt: 'Is it fine in Bath?', maxOutputTokens: 120, temperature: 0, maxRetries: 0 };
  const whole = await generateText(asked);
  expect(whole.text).not.toBe('');
  expect(whole.usage.outputTokens).toBeGreaterThan(0);
  const streamed = streamText(asked);
  expect((await Array.fromAsync(streamed.textStream)).join('')).toBe(whole.text);

  const given: unknown[] = [];
  const calling = {
    ...asked,
    tools: {
      look: tool({
        description: 'Tells the weather.',
        inputSchema: look,
        execute: async (input) => {
          given.push(input);
          return 'It is fine.';
        },
      }),
    },
    stopWhen: isStepCount(2),
    // Only the first step calls; the second one answers the result.
    prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
      toolChoice: stepNumber === 0 ? { type: 'tool' as const, toolName: 'look' as const } : ('none' as const),
    }),
  };
  const answered = await generateText(calling);
  expect(answered.steps).toHaveLength(2);
  expect(answered.text).not.toBe('');
  const stream = streamText(calling);
  await stream.consumeStream();
  expect(await stream.text).toBe(answered.text);
  expect(given).toHaveLength(2);
  for (const input of given) look.parse(input);

  const output = Output.object({ schema: look });
  const { output: object } = await generateText({ ...asked, output });
  look.parse(object);
  const partial = streamText({ ...asked, output });
  expect((await Array.fromAsync(partial.partialOutputStream)).at(-1)).toEqual(object);
}

it('the AI SDK generates text, calls tools and writes objects by chats and by responses, and embeds', async () => {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: await chatModel('chat-model'),
    ALTUP_API_KEYS: 'sesame',
  });
  onTestFinished(async () => {
    await service.stop();
  });
  const server = { baseURL: `${service.url}/v1`, apiKey: 'sesame' };
  const compatible = createOpenAICompatible({ name: 'altup', supportsStructuredOutputs: true, ...server });
  const openai = createOpenAI(server);
  await use(compatible('chat-model'));
  await use(openai('chat-model'));
  await use(openai.chat('chat-model'));
  const model = compatible.embeddingModel('chat-model');
  const { embeddings } = await embedMany({ model, values: ['It was a', 'a proud man'] });
  expect(embeddings.map(({ length }) => length)).toEqual([128, 128]);
});
