import { describe, expect, it } from 'vitest';
import { errorCatalogue } from '../../src/errors.ts';
import { Api } from '../../src/ui/api/api.js';
import { ApiError } from '../../src/ui/api/api-error.js';
import { requestFor } from '../../src/ui/api/request.js';
import { headline, remedy } from '../../src/ui/errors/words.js';
import { isAltup, Servers } from '../../src/ui/models/servers.js';
import { fakeModel, fakeServer } from '../support/fake-server.ts';
import { pageSettings } from '../support/page-settings.ts';

const settings = pageSettings({ max_tokens: '4' });
const asked = { model: 'tiny', prompt: 'It', settings, isAltup: true };
const question = requestFor(asked);

type Respond = (path: string, init: RequestInit) => Promise<Response> | Response;

/** A `fetch` that records where each request goes. */
function recorded(respond: Respond) {
  const sent: { path: string; headers: Record<string, string> }[] = [];
  const fetch = async (path: unknown, init: RequestInit = {}) => {
    sent.push({ path: String(path), headers: init.headers as Record<string, string> });
    return respond(String(path), init);
  };
  return { sent, fetch: fetch as typeof globalThis.fetch };
}

/** The page's API client, on the server's own answers. */
function apiOf(respond: Respond, key = '') {
  const { sent, fetch } = recorded(respond);
  return { api: new Api(() => key, fetch), sent };
}

function onServer(key = '', options: Parameters<typeof fakeServer>[0] = {}) {
  const { app } = fakeServer(options);
  return apiOf(async (path, { method = 'GET', headers, body }) => {
    const answer = await app.inject({
      method: method as 'GET',
      url: `/${path}`,
      headers: headers as Record<string, string>,
      ...(body ? { payload: String(body) } : {}),
    });
    return new Response(answer.rawPayload, {
      status: answer.statusCode,
      headers: answer.headers as Record<string, string>,
    });
  }, key);
}

const chunksOf = async (api: Api, request = question, signal = new AbortController().signal) =>
  Array.fromAsync(api.stream(request, signal));

/** An answer that arrives in the given pieces. */
const inPieces = (...pieces: string[]) =>
  new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
        controller.close();
      },
    }),
  );

it('lists the models', async () => {
  const { api } = onServer('', { models: [fakeModel('a'), fakeModel('b', { state: 'loading' })] });
  expect(await api.models()).toMatchObject([
    { id: 'a', state: 'ready', variant: 'altup-k2', has_chat_template: true },
    { id: 'b', state: 'loading', has_chat_template: true },
  ]);
});

it('streams a completion and counts its tokens', async () => {
  const chunks = await chunksOf(onServer().api);
  expect(chunks.map(({ choices }) => choices[0]?.text ?? '').join('')).toBe('ok');
  expect(chunks.at(-1)!.usage!.completion_tokens).toBeGreaterThan(0);
});

it('streams a chat', async () => {
  const prompt = [{ role: 'user' as const, content: 'It' }];
  const chunks = await chunksOf(onServer().api, requestFor({ ...asked, prompt }));
  expect(chunks.map(({ choices }) => choices[0]?.delta?.content ?? '').join('')).toBe('ok');
});

it('puts events together that arrive in pieces, whatever they cut', async () => {
  const event = 'data: {"choices":[{"text":"né","finish_reason":null}]}\n\n';
  const bytes = new TextEncoder().encode(`${event}data: [DONE]\n\n`);
  const body = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const chunks = await chunksOf(apiOf(() => new Response(body)).api);
  expect(chunks).toEqual([{ choices: [{ text: 'né', finish_reason: null }] }]);
});

describe('errors', () => {
  const failure = async (api: Api, signal?: AbortSignal) =>
    chunksOf(api, question, signal).then(
      () => null,
      (error: unknown) => error,
    );

  it('are the service’s own, with the field', async () => {
    const wrong = requestFor({ ...asked, settings: { ...settings, temperature: '9' } });
    const error = await chunksOf(onServer().api, wrong).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'invalid_request',
      param: 'temperature',
      status: 400,
      message: expect.stringContaining('`temperature` must be a number from 0 to 2'),
      requestId: expect.any(String),
    });
    expect(headline(error as ApiError)).toBe('Temperature must be a number from 0 to 2, not 9.');
    expect(remedy(error as ApiError)).toBe('Change Temperature and try again.');
  });

  it('come also after the stream has begun', async () => {
    const { api } = apiOf(() =>
      inPieces('data: {"choices":[]}\n\n', 'data: {"error":{"message":"gone","code":"engine_failure"}}\n\n'),
    );
    expect(await failure(api)).toMatchObject({ code: 'engine_failure', message: 'gone', status: null });
  });

  it('tell when to come back', async () => {
    const { api } = apiOf(() =>
      Response.json(
        { error: { message: 'full', code: 'queue_full', param: null } },
        { status: 429, headers: { 'retry-after': '7' } },
      ),
    );
    expect(remedy((await failure(api)) as ApiError)).toContain('in 7 s');
  });

  it('are understood where something else answers, or nothing', async () => {
    expect(await failure(apiOf(() => new Response('<html>', { status: 502 })).api)).toMatchObject({
      code: 'foreign_answer',
      status: 502,
    });
    expect(await failure(apiOf(() => Promise.reject(new TypeError('x'))).api)).toMatchObject({
      code: 'unreachable',
    });
    expect(await failure(apiOf(() => inPieces('data: {"choices":[]}\n\n')).api)).toMatchObject({
      message: 'The stream ended early.',
    });
  });

  it('are none of the service’s where the reader stops', async () => {
    const controller = new AbortController();
    controller.abort(new Error('stopped'));
    const { api } = apiOf((_path, { signal }) => Promise.reject(signal!.reason));
    expect(await failure(api, controller.signal)).not.toBeInstanceOf(ApiError);
  });

  it.each([
    [
      'model',
      "'t5' has no chat template: use /v1/completions",
      'This model has no chat template, so it cannot chat.',
    ],
    [
      'messages',
      'The chat has 9 tokens; the model takes at most 8 tokens.',
      'The chat is longer than this model can read.',
    ],
    [
      'max_tokens',
      "The prompt's 4 tokens plus `max_tokens` of 9 exceed this limit.",
      'Max tokens: more than this model has room for.',
    ],
    [
      'response_format',
      '`response_format` cannot be compiled: Invalid type',
      'JSON schema cannot be compiled: Invalid type',
    ],
    ['messages[0].content', 'It is empty.', 'The chat cannot be used as it is.'],
    ['n', '`n` must be 1', 'The service cannot do this.'],
  ])('of %s are in the page’s words: %s', (param, message, words) => {
    expect(headline(new ApiError({ code: 'invalid_request', param, message }))).toBe(words);
  });

  it('of other servers, with codes of their own, are understood', async () => {
    const answer = { error: { message: 'bad key', code: 401, type: 'x' } };
    const error = await failure(apiOf(() => Response.json(answer, { status: 401 })).api);
    expect(error).toMatchObject({ code: 'unauthorized', message: 'bad key' });
    const other = await failure(apiOf(() => Response.json(answer, { status: 400 })).api);
    expect(other).toMatchObject({ code: 'refused' });
  });

  it('have words and a remedy of their own, except for faults of the service', () => {
    const remedyOf = (code: string) => remedy(new ApiError({ code, message: '' }));
    const headlineOf = (code: string) => headline(new ApiError({ code, param: 'stop', message: '' }));
    // The page only requests existing routes for clients, with the right methods, in plain JSON.
    const unreachable = ['not_found', 'forbidden', 'method_not_allowed', 'unsupported_media_type'];
    const reachable = Object.entries(errorCatalogue).filter(
      ([code, { status }]) => status !== 500 && !unreachable.includes(code),
    );
    expect(reachable.length).toBeGreaterThan(5);
    for (const [code] of reachable)
      expect([code, remedyOf(code), headlineOf(code)]).not.toEqual([
        code,
        remedyOf('internal_error'),
        headlineOf('internal_error'),
      ]);
    for (const [code] of reachable)
      expect([code, headlineOf(code)]).not.toEqual([code, headlineOf('internal_error')]);
  });
});

describe('the API key', () => {
  it('is sent in its header alone, where there is one', async () => {
    const keyed = apiOf(() => Response.json({ data: [] }), 'sk-secret');
    await keyed.api.models();
    expect(keyed.sent).toEqual([{ path: 'v1/models', headers: { authorization: 'Bearer sk-secret' } }]);
    const keyless = apiOf(() => Response.json({ data: [] }));
    await keyless.api.models();
    expect(keyless.sent).toEqual([{ path: 'v1/models', headers: {} }]);
  });

  it('is refused where no header takes it, without being told', async () => {
    const error = await apiOf(() => Response.json({}), 'schlüssel')
      .api.models()
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'unfit_key' });
    expect((error as Error).message).not.toContain('schl');
  });
});

describe('other servers', () => {
  const foreign = { data: [{ id: 'llama', object: 'model', meta: { n_ctx: 4096 } }] };

  it('are added by their address, with or without /v1, and asked with their own key', async () => {
    const { sent, fetch } = recorded(() => Response.json(foreign));
    const servers = new Servers(
      () => 'sk-own',
      fetch,
      () => {},
    );
    expect(await servers.add(' http://127.0.0.1:8000/v1/ ', 'sk-other')).toBeNull();
    expect(await servers.add('https://llm.example.com/base', '')).toBeNull();
    expect(sent).toEqual([
      { path: 'http://127.0.0.1:8000/v1/models', headers: { authorization: 'Bearer sk-other' } },
      { path: 'https://llm.example.com/base/v1/models', headers: {} },
    ]);
    expect(servers.all.map(({ name }) => name)).toEqual(['', '127.0.0.1:8000', 'llm.example.com/base']);
    expect(servers.models[0]!.card).toMatchObject({ id: 'llama', state: 'ready', max_model_len: 4096 });
    expect(isAltup(servers.models[0]!)).toBe(false);
    servers.remove(servers.all[1]!);
    expect(await servers.add('https://llm.example.com/base/', '')).toBeNull();
    expect(servers.all.map(({ name }) => name)).toEqual(['', 'llm.example.com/base']);
  });

  it.each([
    ['localhost', 'server_address'],
    ['file:///etc/passwd', 'server_address'],
    ['http://127.0.0.1:1', 'unreachable_server'],
  ])('are refused: %s', async (address, code) => {
    const { fetch } = recorded(() => Promise.reject(new TypeError('Failed to fetch')));
    const servers = new Servers(
      () => '',
      fetch,
      () => {},
    );
    expect(await servers.add(address, '')).toMatchObject({ code });
    expect(servers.all).toHaveLength(1);
  });
});
