import { describe, expect, it } from 'vitest';
import { requestFor } from '../../src/ui/api/request.js';
import { pageSettings } from '../support/page-settings.ts';

const streamed = {
  stream: true,
  stream_options: { include_usage: true, continuous_usage_stats: true },
  return_metrics: true,
};
const settings = pageSettings({ max_tokens: ' 40 ', temperature: '0.7' });
const messages = [{ role: 'user' as const, content: 'Hello' }];

describe('a request of the page', () => {
  it('for a completion has what was typed, and leaves the rest to the model', () => {
    expect(requestFor({ model: 'm', prompt: 'It is', settings, isAltup: true })).toEqual({
      path: 'v1/completions',
      body: { model: 'm', prompt: 'It is', max_tokens: 40, temperature: 0.7, ...streamed },
    });
  });

  it('for a chat has its messages after the system text, and its own name for the maximum of tokens', () => {
    const told = { ...settings, system: ' Be brief. ' };
    expect(requestFor({ model: 'm', prompt: messages, settings: told, isAltup: true })).toEqual({
      path: 'v1/chat/completions',
      body: {
        model: 'm',
        messages: [{ role: 'system', content: 'Be brief.' }, ...messages],
        max_completion_tokens: 40,
        temperature: 0.7,
        ...streamed,
      },
    });
  });

  it('to another server has only fields of OpenAI’s API, unless more were typed', () => {
    expect(requestFor({ model: 'm', prompt: 'It is', settings, isAltup: false }).body).toEqual({
      model: 'm',
      prompt: 'It is',
      max_tokens: 40,
      temperature: 0.7,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('asks for probabilities in the words of each API', () => {
    const asked = { model: 'm', settings, isAltup: true, logprobs: true };
    expect(requestFor({ ...asked, prompt: 'It' }).body).toMatchObject({ logprobs: 5 });
    expect(requestFor({ ...asked, prompt: messages }).body).toMatchObject({
      logprobs: true,
      top_logprobs: 5,
    });
  });

  it('has a stop text for each line, with its spaces, and the schema as JSON', () => {
    const formed = pageSettings({ stop: ' End\n\nYou:', schema: '{"type": "object"}' });
    expect(requestFor({ model: 'm', prompt: 'It', settings: formed, isAltup: true }).body).toMatchObject({
      stop: [' End', 'You:'],
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: { type: 'object' } } },
    });
  });

  it('is none if the schema is not JSON', () => {
    const broken = pageSettings({ schema: '{"type"' });
    expect(() => requestFor({ model: 'm', prompt: 'It', settings: broken, isAltup: true })).toThrow(
      expect.objectContaining({ code: 'not_json', param: 'response_format' }),
    );
  });

  it('sends text that is no number as it is, to be refused by the service', () => {
    const wrong = pageSettings({ temperature: 'hot', seed: '0x10', top_p: '1e-1', top_k: '-1' });
    expect(requestFor({ model: 'm', prompt: '', settings: wrong, isAltup: true }).body).toMatchObject({
      temperature: 'hot',
      seed: 16,
      top_p: 0.1,
      top_k: -1,
    });
  });
});
