import { describe, expect, it } from 'vitest';
import { fakeServer } from '../support/fake-server.ts';

const { app } = fakeServer({ config: { unknownFields: 'ignore' } });

async function post(url: string, payload: object, server = app) {
  const response = await server.inject({ method: 'POST', url, payload });
  return { status: response.statusCode, ignored: response.headers['x-ignored-fields'], body: response.body };
}

const chat = (message: object, more: object = {}) =>
  post('/v1/chat/completions', {
    messages: [
      { role: 'user', content: 'a', ...message },
      { role: 'user', content: [{ type: 'text', text: 'b' }], ...message },
    ],
    max_tokens: 2,
    ...more,
  });

describe('with ALTUP_UNKNOWN_FIELDS=ignore, an unknown field', () => {
  it.each([
    ['/v1/completions', { prompt: 'a', max_tokens: 2 }],
    ['/v1/completions', { prompt: 'a', max_tokens: 2, stream: true }],
    ['/tokenize', { prompt: 'a' }],
    ['/detokenize', { tokens: [5] }],
  ])('of %s is ignored and named: %j', async (url, payload) => {
    expect(await post(url, { ...payload, zebra: { a: 1 }, 'x-y': null })).toMatchObject({
      status: 200,
      ignored: 'zebra, x-y',
    });
    expect(await post(url, payload)).toMatchObject({ status: 200, ignored: undefined });
  });

  it('is named once for all items of a list', async () => {
    expect(await chat({ zebra: 1 }, { stream_options: { zebra: 1 }, stream: true, zebra: 2 })).toMatchObject({
      status: 200,
      ignored: 'messages[].zebra, stream_options.zebra, zebra',
    });
  });

  it('of a part of a message is ignored, unless the part is of an unknown type', async () => {
    const content = (part: object) => ({ content: [{ type: 'text', text: 'a', ...part }] });
    expect(await chat(content({ zebra: 1 }))).toMatchObject({
      status: 200,
      ignored: 'messages[].content[].zebra',
    });
    const image = await chat(content({ type: 'image_url', image_url: { url: 'a' } }));
    expect(image.status).toBe(400);
    expect(image.body).toContain('has the type `image_url`, which is not supported');
  });

  it('changes nothing in the answer', async () => {
    const payload = { prompt: 'abc', seed: 1, max_tokens: 5, request_id: 'a' };
    const text = (body: string) => JSON.parse(body).choices;
    const [plain, more] = [
      await post('/v1/completions', payload),
      await post('/v1/completions', { ...payload, zebra: 1 }),
    ];
    expect(text(more.body)).toEqual(text(plain.body));
  });

  it('is named in errors too', async () => {
    expect(await post('/v1/completions', { zebra: 1 })).toMatchObject({ status: 400, ignored: 'zebra' });
  });

  it('stays where the schema leaves names to the client', async () => {
    const schema = { type: 'object', properties: { zebra: { type: 'string' } } };
    const free = {
      logit_bias: { 65: 1 },
      metadata: { zebra: 1 },
      chat_template_kwargs: { zebra: 1 },
      response_format: { type: 'json_schema', json_schema: { schema, zebra: 1 } },
    };
    expect(await chat({}, free)).toMatchObject({ status: 200, ignored: 'response_format.json_schema.zebra' });
  });

  it.each([
    [{ suffix: 'a' }, 'suffix'],
    [{ temperature: 3 }, 'temperature'],
  ])('does not make known fields pass: %j', async (fields, param) => {
    const { status, body } = await post('/v1/completions', { prompt: 'a', ...fields });
    expect([status, JSON.parse(body).error.param]).toEqual([400, param]);
  });

  it('makes a short header of safe characters, whatever it is called', async () => {
    const fields = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`${i}\r\nSet-Cookie: a=b; é😀${'x'.repeat(i % 100)}`, 1]),
    );
    const { status, ignored } = await post('/v1/completions', { prompt: 'a', max_tokens: 2, ...fields });
    expect(status).toBe(200);
    expect(ignored).toMatch(/^([\w.[\]$?-]+, )+\.\.\.$/);
    expect(String(ignored).length).toBeLessThan(1200);
    const named = await post('/v1/completions', { prompt: 'a', max_tokens: 2, constructor: 1, toString: 1 });
    expect(named).toMatchObject({ status: 200, ignored: 'constructor, toString' });
  });
});

it('by default, an unknown field is refused', async () => {
  const { status, ignored, body } = await post(
    '/v1/completions',
    { prompt: 'a', zebra: 1 },
    fakeServer().app,
  );
  expect([status, ignored]).toEqual([400, undefined]);
  expect(JSON.parse(body).error.message).toContain('`zebra` is not a known field');
});
