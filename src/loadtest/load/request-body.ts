import type { Prompt } from './prompts.ts';
import type { RequestOptions, Target } from './target.ts';

export const paths = { completions: '/v1/completions', chat: '/v1/chat/completions' } as const;

/** The body of a streamed request. Token counts come from the usage at the end of the stream. */
export function requestBody({ model }: Target, { text, maxTokens }: Prompt, options: RequestOptions): string {
  const { endpoint, temperature, fields } = options;
  const prompt = endpoint === 'chat' ? { messages: [{ role: 'user', content: text }] } : { prompt: text };
  return JSON.stringify({
    model,
    ...prompt,
    max_tokens: maxTokens,
    temperature,
    stream: true,
    stream_options: { include_usage: true },
    ...fields,
  });
}
