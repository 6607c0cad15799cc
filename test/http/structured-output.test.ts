import { describe, expect, it } from 'vitest';
import { GrammarError, type GrammarSource } from '../../src/sampling/grammar.ts';
import { fakeModel, fakeServer } from '../support/fake-server.ts';

const schema = { type: 'object', properties: { a: { type: 'integer' } } };
const closed = JSON.stringify({ ...schema, additionalProperties: false });
const strict = JSON.stringify({ ...schema, required: ['a'], additionalProperties: false });

/** Sends a request. @returns the compiled grammars and the engine's request */
async function send(
  fields: object,
  options: { chat?: boolean; backend?: 'native' | 'onnxruntime-node' } = {},
) {
  const compiled: (readonly [model: string, source: GrammarSource])[] = [];
  const { backend = 'native' } = options;
  const runtime = { backend, executionProvider: 'cpu' } as const;
  const state = {
    state: 'ready',
    slots: 4,
    capacity: 32,
    encoderCapacity: 24,
    encoderWidth: 4,
    cacheBudget: 0,
    isCacheLimit: false,
    runtime,
  } as const;
  const { app, engine } = fakeServer({
    models: [fakeModel('tiny', state)],
    compileGrammar: async (model, source) => {
      compiled.push([model, source]);
      if ('regex' in source && source.regex === '(') throw new GrammarError('unclosed group');
      return { id: 42 };
    },
  });
  const prompt = options.chat ? { messages: [{ role: 'user', content: 'a' }] } : { prompt: 'a' };
  const url = options.chat ? '/v1/chat/completions' : '/v1/completions';
  const payload = { ...prompt, ...fields };
  const answer = await app.inject({ method: 'POST', url, payload });
  return { compiled, grammar: engine.submitted[0]?.sampling.grammar, error: answer.json().error };
}

describe.each([false, true])('structured output (chat: %s)', (chat) => {
  it.each([
    [{ response_format: { type: 'json_object' } }, { json: '{"type":"object"}' }],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } } },
      { json: strict, isStrict: true },
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', strict: false, schema } } },
      { json: closed },
    ],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }, { json: closed }],
    [{ response_format: { type: 'json_object', schema } }, { json: closed }],
    [{ structured_outputs: { json: schema } }, { json: closed }],
    [{ structured_outputs: { json: JSON.stringify(schema) } }, { json: closed }],
    [{ structured_outputs: { json: '{"type":' } }, { json: '{"type":' }],
    [{ structured_outputs: { json: '{"const":1}' } }, { json: '{"const":1}' }],
    [{ structured_outputs: { json_object: true } }, { json: '{"type":"object"}' }],
    [{ structured_outputs: { regex: 'a+', json: null } }, { regex: 'a+' }],
    [{ structured_outputs: { choice: ['a', 'b'] } }, { choice: ['a', 'b'] }],
    [{ structured_outputs: { grammar: 'start: "a"' } }, { lark: 'start: "a"' }],
  ])('%j', async (fields, source) => {
    const { compiled, grammar } = await send(fields, { chat });
    expect(compiled).toEqual([['tiny', source]]);
    expect(grammar).toBe(42);
  });

  it.each([{}, { response_format: null, structured_outputs: null }, { response_format: { type: 'text' } }])(
    'none: %j',
    async (fields) => {
      const { compiled, grammar } = await send(fields, { chat });
      expect(compiled).toEqual([]);
      expect(grammar).toBeNull();
    },
  );

  const regex = { structured_outputs: { regex: 'a' } };
  it.each([
    ['structured_outputs', { structured_outputs: {} }, /exactly one of/],
    ['structured_outputs', { structured_outputs: { json: {}, regex: 'a+' } }, /exactly one of/],
    ['structured_outputs', { structured_outputs: { json_object: false } }, /exactly one of/],
    ['structured_outputs', { ...regex, response_format: { type: 'json_object' } }, /send one of them/],
    ['structured_outputs', { structured_outputs: { regex: '(' } }, /cannot be compiled: unclosed group/],
    ['structured_outputs', { structured_outputs: { regex: 'a'.repeat(70_000) } }, /at most 65536/],
    [
      'response_format',
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'x', strict: true, schema: { additionalProperties: true } },
        },
      },
      /cannot be compiled: additionalProperties at # must be false/,
    ],
    [
      'response_format',
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema }, schema } },
      /`response_format.schema` needs the type `json_object`/,
    ],
    ['structured_outputs', { structured_outputs: { json: { title: 'a'.repeat(70_000) } } }, /at most 65536/],
    ['structured_outputs', { structured_outputs: { json: `"${'a'.repeat(70_000)}"` } }, /at most 65536/],
    ['response_format', { response_format: { type: 'json_schema' } }, /json_schema.schema` is required/],
    ['ignore_eos', { ...regex, ignore_eos: true }, /cannot be combined with/],
    ['min_tokens', { ...regex, min_tokens: 2 }, /cannot be combined with/],
  ])('refuses by %s (%#)', async (param, fields, message) => {
    const { error } = await send(fields, { chat });
    expect(error).toMatchObject({ code: 'invalid_request', param });
    expect(error.message).toMatch(message);
  });

  it('refuses where the model runs without the native addon, and names it', async () => {
    const { compiled, error } = await send(regex, { chat, backend: 'onnxruntime-node' });
    expect(error).toMatchObject({
      code: 'invalid_request',
      param: 'structured_outputs',
      message: expect.stringMatching(/needs the native backend/),
    });
    expect(compiled).toEqual([]);
  });
});
