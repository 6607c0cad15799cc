import { describe, expect, it } from 'vitest';
import { errorCatalogue } from '../../src/errors.ts';
import { Api } from '../../src/ui/api.js';
import { ApiError } from '../../src/ui/api-error.js';
import { remedy } from '../../src/ui/remedy.js';
import { requestFor } from '../../src/ui/request.js';
import { fakeModel, fakeServer } from '../support/fake-server.ts';

const settings = { max_tokens: '4', temperature: '', top_p: '', seed: '' };
const question = requestFor({ model: 'tiny', prompt: 'It', settings });

/** The page's API client, on the server's own answers. */
function apiOf(respond: (path: string, init: RequestInit) => Promise<Response> | Response, key = '') {
  const sent: { path: string; headers: Record<string, string> }[] = [];
  const fetch = async (path: unknown, init: RequestInit = {}) => {
    sent.push({ path: String(path), headers: init.headers as Record<string, string> });
    return respond(String(path), init);
  };
  return { api: new Api(() => key, fetch as typeof globalThis.fetch), sent };
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
  const chunks = await chunksOf(onServer().api, requestFor({ model: 'tiny', prompt, settings }));
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
    const wrong = requestFor({ model: 'tiny', prompt: 'It', settings: { ...settings, temperature: '9' } });
    const error = await chunksOf(onServer().api, wrong).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'invalid_request',
      param: 'temperature',
      status: 400,
      message: expect.stringContaining('`temperature` must be a number from 0 to 2'),
      requestId: expect.any(String),
    });
    expect(remedy(error as ApiError)).toBe('Change temperature and try again.');
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

  it('have a remedy of their own, but for faults of the service', () => {
    const remedyOf = (code: string) => remedy(new ApiError({ code, message: '' }));
    // The page only requests existing routes for clients, with the right methods, in plain JSON.
    const unreachable = ['not_found', 'forbidden', 'method_not_allowed', 'unsupported_media_type'];
    const reachable = Object.entries(errorCatalogue).filter(
      ([code, { status }]) => status !== 500 && !unreachable.includes(code),
    );
    expect(reachable.length).toBeGreaterThan(5);
    for (const [code] of reachable)
      expect([code, remedyOf(code)]).not.toEqual([code, remedyOf('internal_error')]);
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
