import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fakeServer } from '../support/fake-server.ts';

const { app, engine } = fakeServer({ config: { bodyLimit: 1_048_576 } });

const routes = ['/v1/completions', '/v1/chat/completions', '/tokenize', '/detokenize'];

async function send(payload: string | Buffer, headers: Record<string, string> = {}, url = routes[0]!) {
  const response = await app.inject({
    method: 'POST',
    url,
    payload,
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: response.statusCode, headers: response.headers, error: response.json().error };
}

const invalid = { code: 'invalid_request', type: 'invalid_request_error' };
const nested = (levels: number, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels);

describe.each(routes)('a body for %s', (url) => {
  it.each([
    [
      'no UTF-8',
      Buffer.from('7b2270726f6d7074223a22ff227d', 'hex'),
      'The body is not UTF-8: byte 11 is not part of a character.',
    ],
    [
      'Latin-1',
      Buffer.from('{"prompt":"caf\xe9"}', 'latin1'),
      'The body is not UTF-8: byte 14 is not part of a character.',
    ],
    [
      'cut inside a character',
      Buffer.from('"é').subarray(0, 2),
      'The body is not UTF-8: byte 1 is not part of a character.',
    ],
    [
      'a surrogate in UTF-8',
      Buffer.from('22eda08022', 'hex'),
      'The body is not UTF-8: byte 1 is not part of a character.',
    ],
    ['empty', '', 'The body is empty; send a JSON object.'],
    ['cut off', '{"prompt": "a', 'The body is not valid JSON: there is a syntax error in line 1, column 14.'],
    ['unfinished', '{"prompt": ', 'The body is not valid JSON: it ends too early.'],
    ['Python', "{'prompt': 'a'}", 'The body is not valid JSON: there is a syntax error in line 1, column 2.'],
    ['no number', '{"a": NaN}', 'The body is not valid JSON: unexpected `N`.'],
    [
      'a bare line end',
      '{"prompt": "a\n"}',
      'The body is not valid JSON: there is a syntax error in line 1, column 14.',
    ],
  ])('that is %s is refused in our words', async (_what, payload, message) => {
    expect(await send(payload, {}, url)).toMatchObject({
      status: 400,
      error: { ...invalid, param: null, message },
    });
  });

  it.each([
    [
      'a compressed body',
      { 'content-encoding': 'gzip' },
      "The body has the Content-Encoding 'gzip'; send it without compression.",
    ],
    [
      'another',
      { 'content-encoding': 'zstd, br' },
      "The body has the Content-Encoding 'zstd, br'; send it without compression.",
    ],
    [
      'another charset',
      { 'content-type': 'application/json; charset=UTF-16' },
      "The body has the charset 'UTF-16'; send it as UTF-8.",
    ],
    [
      'another type',
      { 'content-type': 'text/plain' },
      'The body must be JSON; send the header Content-Type: application/json.',
    ],
    [
      'no type',
      { 'content-type': 'json' },
      'The body must be JSON; send the header Content-Type: application/json.',
    ],
  ])('in %s is a 415 that names it', async (_what, headers, message) => {
    const refused = await send(gzipSync('{}'), headers, url);
    expect(refused).toMatchObject({
      status: 415,
      headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      error: { code: 'unsupported_media_type', type: 'invalid_request_error', param: null, message },
    });
  });

  it.each([
    ['\\ud800', '\\ud800'],
    ['a\\uDC00b', '\\udc00'],
    ['\\udc00\\ud800', '\\udc00'],
  ])('with half a character, %s, is refused with its field', async (text, half) => {
    expect(await send(`{"prompt": "${text}"}`, {}, url)).toMatchObject({
      status: 400,
      error: {
        ...invalid,
        param: 'prompt',
        message: `\`prompt\` has a lone surrogate, ${half}, which is half a character.`,
      },
    });
    expect((await send(`{"stop": ["", "${text}"]}`, {}, url)).error).toMatchObject({ param: 'stop' });
    expect((await send(`{"x": {"${text}": 1}}`, {}, url)).error.message).toContain(
      'has a lone surrogate in its name',
    );
  });

  it.each([
    '{"__proto__": {}}',
    '{"a": {"__proto__": null}}',
    '{"a": [[{"__proto__": 1}]]}',
    '{"\\u005f_proto__": 1}',
  ])('%s is refused by that name', async (payload) => {
    const { status, error } = await send(payload, {}, url);
    expect([status, error.code]).toEqual([400, 'invalid_request']);
    expect(error.message).toMatch(/`(a\S*\.)?__proto__` is not allowed: no field may have this name\.$/);
    expect(Object.prototype).not.toHaveProperty('a');
  });

  it.each([
    ['lists', `{"a": ${nested(5000)}}`, 'a'],
    ['lists among texts', `{"a[{": "[{\\"[{", "b": [{}, ${nested(101)}]}`, 'b'],
    ['objects', `{"a": ${nested(5000, '{"b":', '}').replace('}', '1}')}}`, 'a'],
    ['half a million lists', nested(500_000), null],
  ])('nested too deep, of %s, is refused', async (_what, payload, param) => {
    const { status, error } = await send(payload, {}, url);
    expect([status, error.code]).toEqual([400, 'invalid_request']);
    expect(error.message).toMatch(/is nested more than 100 levels deep, at byte \d+\.$/);
    expect(error.message.length).toBeLessThan(150);
    expect(error.param).toBe(param);
  });
});

describe('a body', () => {
  it.each([
    ['a schema as text', 'structured_outputs', `{"json": ${JSON.stringify(nested(5000, '{"x":', '}'))}}`],
    ['a schema', 'structured_outputs', `{"json": ${nested(5000, '{"not":', '}').replace('}', '1}')}}`],
    ['a template’s variable', 'chat_template_kwargs', `{"a": ${nested(5000)}}`],
  ])('with %s 5,000 levels deep is a 400', async (_what, param, value) => {
    const payload = `{"messages": [{"role": "user", "content": "a"}], "${param}": ${value}}`;
    const { status, error } = await send(payload, {}, routes[1]);
    expect(status).toBe(400);
    expect(error.param).toBe(param);
  });

  it.each([
    ['in the deepest nesting there may be', nested(99, '{"a":', '}').replace('}', '1}')],
    ['with other names of prototypes', '{"constructor": {"prototype": {}}, "toString": 1, "prototype": 2}'],
  ])('%s reaches the template', async (_what, variables) => {
    const payload = `{"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": ${variables}}`;
    const { status, error } = await send(payload, {}, routes[1]);
    expect([status, error]).toEqual([200, undefined]);
  });

  it('with a number beyond all numbers names it', async () => {
    const { error } = await send('{"prompt": "a", "structured_outputs": {"json": {"maximum": 1e999}}}');
    expect(error.message).toBe(
      '`structured_outputs.json.maximum` is a number outside the range of 64-bit floating point.',
    );
  });

  it.each([
    ['whole characters', '{"prompt": "\\ud83d\\ude00é"}', {}],
    ['a byte order mark', '\ufeff{"prompt": "a"}', {}],
    ['its charset', '{"prompt": "a"}', { 'content-type': 'Application/JSON; Charset="utf-8"' }],
    ['its encoding', '{"prompt": "a"}', { 'content-encoding': 'identity' }],
  ])('with %s is taken', async (_what, payload, headers) => {
    expect((await send(payload, headers)).status).toBe(200);
  });

  it('gives the prompt to the engine byte by byte', async () => {
    engine.submitted.length = 0;
    await send(Buffer.from('{"prompt": "é😀"}'));
    expect(engine.submitted[0]!.promptTokens).toEqual([
      ...[...Buffer.from('é😀')].map((byte) => byte + 3),
      1,
    ]);
  });

  it('longer than the limit names the setting', async () => {
    expect(await send(`"${'a'.repeat(1_048_576)}"`)).toMatchObject({
      status: 413,
      error: { code: 'payload_too_large', message: expect.stringContaining('ALTUP_BODY_LIMIT') },
    });
  });
});
