import { describe, expect, it } from 'vitest';
import { fakeServer } from '../support/fake-server.ts';

const { app } = fakeServer();
const messageOf = async (url: string, method: 'GET' | 'POST' = 'POST') => {
  const response = await app.inject({ method, url });
  expect([response.statusCode, response.json().error.code]).toEqual([404, 'not_found']);
  return response.json().error.message;
};

describe('a path without a route', () => {
  it.each([
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['/v1/v1/v1/models?x=/y', '/v1/models'],
    ['/chat/completions', '/v1/chat/completions'],
    ['/completions', '/v1/completions'],
    ['/models', '/v1/models'],
    ['/responses', '/v1/responses'],
    ['/v1/v1/responses', '/v1/responses'],
    ['/models/tiny', '/v1/models/tiny'],
    ['//v1/chat/completions', '/v1/chat/completions'],
    ['/v1//completions/', '/v1/completions'],
    ['/v1/tokenize', '/tokenize'],
    ['/v1/health', '/health'],
  ])('%s that a wrong base URL makes gets the right one: %s', async (url, meant) => {
    expect(await messageOf(url)).toBe(
      `There is no ${url.split('?')[0]}. Call ${meant}; check the client’s base URL.`,
    );
  });

  it.each([
    ['/v1/messages', 'Anthropic’s API', '/v1/chat/completions'],
    ['/v1/messages/count_tokens', 'Anthropic’s API', '/v1/chat/completions'],
    ['/api/chat', 'Ollama’s API', '/v1/chat/completions'],
    ['/api/generate', 'Ollama’s API', '/v1/completions'],
    ['/api/tags', 'Ollama’s API', '/v1/models'],
    ['/v1/engines', 'an older OpenAI API', '/v1/models'],
    ['/v1/engines/davinci/completions', 'an older OpenAI API', '/v1/completions, with'],
    ['/openai/deployments/gpt/chat/completions?api-version=1', 'Azure’s API', '/v1/chat/completions, with'],
    ['/openai/deployments/gpt/completions', 'Azure’s API', '/v1/completions, with'],
    ['/completion', 'llama.cpp’s API', '/v1/completions'],
    ['/openai/responses?api-version=1', 'Azure’s API', '/v1/responses'],
    ['/v1/threads/x/runs', 'an OpenAI API that keeps conversations', '/v1/responses, with the earlier'],
    ['/v1/conversations', 'an OpenAI API that keeps conversations', '/v1/responses, with'],
    ['/v1', 'OpenAI’s clients', '/v1/models, /v1/completions, /v1/chat/completions or /v1/responses'],
    ['/v1/', 'OpenAI’s clients', '/v1/models'],
  ])('%s of %s says what does the same here', async (url, api, here) => {
    const message = await messageOf(url);
    expect(message).toContain(`${api}; call ${here}`);
    for (const [path] of here.matchAll(/\/v1\/[\w/]+/g))
      expect((await app.inject({ method: 'DELETE', url: path })).statusCode, `${path} is a route`).toBe(405);
  });

  it.each([
    '/v1/nothing',
    '/nothing',
    '/v1/chat',
    '/v2/completions',
    '/api',
    '/v1/v1',
    `/${'/x'.repeat(5000)}`,
  ])('%s that means nothing known says where to look', async (url) => {
    expect(await messageOf(url)).toMatch(/^There is no .{1,200}; see \/docs\.$/);
  });

  it('is answered quickly, whatever it repeats', async () => {
    for (const part of ['/v1', '/', '/v1/engines', '/openai/deployments'])
      expect(Buffer.byteLength(await messageOf(part.repeat(1000)))).toBeLessThan(700);
  });
});
