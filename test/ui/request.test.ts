import { expect, it } from 'vitest';
import { requestFor } from '../../src/ui/request.js';

const streamed = {
  stream: true,
  stream_options: { include_usage: true, continuous_usage_stats: true },
  return_metrics: true,
};
const settings = { max_tokens: ' 40 ', temperature: '0.7', top_p: '', seed: '' };

it('a completion has what was typed, and leaves the rest to the model', () => {
  expect(requestFor({ model: 'm', prompt: 'It is', settings })).toEqual({
    path: 'v1/completions',
    body: { model: 'm', prompt: 'It is', max_tokens: 40, temperature: 0.7, ...streamed },
  });
});

it('a chat has its messages, and its own name for the most tokens', () => {
  const prompt = [{ role: 'user' as const, content: 'Hello' }];
  expect(requestFor({ model: 'm', prompt, settings })).toEqual({
    path: 'v1/chat/completions',
    body: { model: 'm', messages: prompt, max_completion_tokens: 40, temperature: 0.7, ...streamed },
  });
});

it('what is no number goes to the service as it is, to be refused there', () => {
  const wrong = { ...settings, temperature: 'hot', seed: '0x10', top_p: '1e-1' };
  expect(requestFor({ model: 'm', prompt: '', settings: wrong }).body).toMatchObject({
    temperature: 'hot',
    seed: 16,
    top_p: 0.1,
  });
});
