import { describe, expect, it } from 'vitest';
import { ApiKeys } from '../../../src/config/api-keys.ts';
import { ResponseStore } from '../../../src/http/responses/response-store.ts';
import { textEvents } from '../../support/fake-engine.ts';
import { respond, responseEvents, responsesServer } from '../../support/fake-responses.ts';
import { fakeTokenizer } from '../../support/fake-tokenizer.ts';

const config = { responsesStore: 1_000_000, maxQueuedTokens: 10_000 };
const question = { role: 'user', content: 'a' };

/** A server that stores responses, and requests of one of its clients. */
function storing(options: Parameters<typeof responsesServer>[0] = {}) {
  const server = responsesServer({ ...options, config: { ...config, ...options.config } });
  const headers = (key: string) => ({ authorization: `Bearer ${key}` });
  const create = async (payload: object, key = 'k1') => {
    const response = await server.post(payload, headers(key));
    expect(response.statusCode, response.body).toBe(200);
    return response.json();
  };
  const send = async (method: 'GET' | 'DELETE', path: string, key = 'k1') => {
    const url = `/v1/responses/${path}`;
    // OpenAI's Python client names a content type in DELETE too.
    const type = method === 'DELETE' ? { 'content-type': 'application/json' } : {};
    const response = await server.app.inject({ method, url, headers: { ...headers(key), ...type } });
    return { status: response.statusCode, body: response.json() };
  };
  const lastPrompt = () => fakeTokenizer().decode(server.engine.submitted.at(-1)!.promptTokens);
  return { ...server, create, send, lastPrompt };
}

describe('a stored response', () => {
  it('is read as it was answered, whole or streamed, until it is deleted', async () => {
    const { create, post, send } = storing();
    const whole = await create({ input: 'a' });
    expect(whole.store).toBe(true);
    expect(await send('GET', whole.id)).toEqual({ status: 200, body: whole });
    const key = { authorization: 'Bearer k1' };
    const events = responseEvents((await post({ input: 'a', stream: true }, key)).body);
    const streamed = events.at(-1)!.response as { id: string };
    expect(await send('GET', streamed.id)).toEqual({ status: 200, body: streamed });
    expect(await send('DELETE', whole.id)).toEqual({
      status: 200,
      body: { id: whole.id, object: 'response', deleted: true },
    });
    for (const method of ['GET', 'DELETE'] as const)
      expect(await send(method, whole.id)).toMatchObject({
        status: 404,
        body: { error: { code: 'not_found', message: expect.stringContaining('ALTUP_RESPONSES_STORE') } },
      });
  });

  it('is continued with its conversation, but without its instructions', async () => {
    const { create, lastPrompt } = storing();
    const first = await create({ input: 'a', instructions: 'S' });
    const second = await create({ input: [question], previous_response_id: first.id });
    expect(lastPrompt()).toBe('[user]a[assistant]ok[user]a[assistant]');
    expect(second.previous_response_id).toBe(first.id);
    await create({ input: 'b', instructions: 'T', previous_response_id: second.id });
    expect(lastPrompt()).toBe('[system]T[user]a[assistant]ok[user]a[assistant]ok[user]b[assistant]');
  });

  it('is continued with the results of its calls', async () => {
    const written = '<tool_call>{"name": "now", "arguments": {}}</tool_call>';
    const { create, lastPrompt } = storing({ script: (request) => textEvents(request, written) });
    const tools = [{ type: 'function', name: 'now' }];
    const first = await create({ input: 'a', tools });
    const output = { type: 'function_call_output', call_id: first.output[0].call_id, output: 'noon' };
    await create({ input: [output], previous_response_id: first.id });
    expect(lastPrompt()).toBe(
      `[user]a[assistant]${written}[user]<tool_response>\nnoon\n</tool_response>[assistant]`,
    );
  });

  it('has items that later input may name', async () => {
    const written = 'Wait. <tool_call>{"name": "now", "arguments": {}}</tool_call>';
    const { create, send, post, lastPrompt } = storing({ script: (request) => textEvents(request, written) });
    const { id, output } = await create({ input: 'a', tools: [{ type: 'function', name: 'now' }] });
    const named = output.map((item: { id: string }) => ({ type: 'item_reference', id: item.id }));
    const result = { type: 'function_call_output', call_id: output[1].call_id, output: 'noon' };
    const again = await create({ input: [question, ...named, result] });
    const prompt = lastPrompt();
    await create({ input: [question, ...output, result] });
    expect(prompt).toBe(lastPrompt());
    const { body } = await send('GET', `${again.id}/input_items?order=asc`);
    expect(body.data.slice(1, 3)).toEqual(output);
    await send('DELETE', id);
    const { error } = (await post({ input: named }, { authorization: 'Bearer k1' })).json();
    expect(error.message).toContain('that is not stored for this client');
  });

  it('has items that one request names once each, and not many of', async () => {
    const { create, post } = storing({
      config: { bodyLimit: 3000 },
      script: (request) => textEvents(request, 'long '.repeat(200)),
    });
    const name = async () => {
      const { output } = await create({ input: 'a' });
      return { type: 'item_reference', id: output[0].id };
    };
    const [first, second] = [await name(), await name()];
    const key = { authorization: 'Bearer k1' };
    const refused = async (input: object[]) => (await post({ input }, key)).json().error;
    expect(await refused([question, first, first])).toMatchObject({
      param: 'input',
      message: expect.stringMatching(/^`input\[2\]` names an item, 'msg_[0-9a-f]+', a second time/),
    });
    expect((await refused([question, first, second])).message).toContain('more than 3000 bytes');
    await create({ input: [question, first] });
  });

  it('is not continued once its conversation is longer than a request may be', async () => {
    const { create, post } = storing({ config: { bodyLimit: 2000 } });
    const first = await create({ input: 'long '.repeat(200) });
    const second = await create({ input: 'long '.repeat(200), previous_response_id: first.id });
    const key = { authorization: 'Bearer k1' };
    const { error } = (await post({ input: 'a', previous_response_id: second.id }, key)).json();
    expect(error.param).toBe('previous_response_id');
    expect(error.message).toMatch(
      /a conversation of 2\d\d\d bytes, more than the 2000 .* \(ALTUP_BODY_LIMIT\)/,
    );
  });

  it('is not kept if it alone exceeds the limit, and says so', async () => {
    const { create, send } = storing({ config: { responsesStore: 4500 } });
    const small = await create({ input: 'a' });
    const large = await create({ input: 'long '.repeat(600) });
    expect([small.store, large.store]).toEqual([true, false]);
    expect((await send('GET', large.id)).status).toBe(404);
    expect((await send('GET', small.id)).status).toBe(200);
  });

  it('lists the items that it answers', async () => {
    const { create, send } = storing();
    const first = await create({ input: 'a' });
    const call = { type: 'function_call', call_id: '1', name: 'now', arguments: '{}' };
    const output = { type: 'function_call_output', call_id: '1', output: 'noon' };
    const reasoning = { type: 'reasoning', summary: [] };
    const own = { role: 'assistant', content: 'b', id: 'msg_own' };
    const input = [reasoning, own, call, output];
    const second = await create({ input, previous_response_id: first.id });
    const list = async (query: string) => (await send('GET', `${second.id}/input_items${query}`)).body;
    const all = await list('?order=asc');
    const id = (prefix: string) => expect.stringMatching(new RegExp(`^${prefix}_[0-9a-f]{32}$`));
    const status = 'completed';
    const text = { type: 'output_text', annotations: [], logprobs: [] };
    expect(all.data).toEqual([
      {
        type: 'message',
        id: id('msg'),
        status,
        role: 'user',
        content: [{ type: 'input_text', text: 'a' }],
      },
      first.output[0],
      { type: 'message', id: 'msg_own', status, role: 'assistant', content: [{ ...text, text: 'b' }] },
      { ...call, id: id('fc'), status },
      { ...output, id: id('fco'), status },
    ]);
    const ids = all.data.map((item: { id: string }) => item.id);
    expect(all).toMatchObject({ object: 'list', has_more: false, first_id: ids[0], last_id: ids[4] });
    expect((await list('')).data.map((item: { id: string }) => item.id)).toEqual(ids.toReversed());
    const page = await list(`?order=asc&limit=2&after=${ids[0]}`);
    expect(page.data.map((item: { id: string }) => item.id)).toEqual(ids.slice(1, 3));
    expect(page.has_more).toBe(true);
    expect(await list(`?after=${ids[0]}`)).toMatchObject({ data: [], first_id: null, has_more: false });
    expect((await list('?after=nothing')).error.param).toBe('after');
    expect((await list('?limit=101')).error.message).toContain('must be a whole number from 1 to 100');
  });

  it('lists items that a client sent with the same id under ids of their own, so that pages end', async () => {
    const { create, send } = storing();
    const own = { role: 'assistant', content: 'b', id: 'msg_own' };
    const first = await create({ input: [question, own, question, own] });
    const { id } = await create({ input: [question, own], previous_response_id: first.id });
    const ids: string[] = [];
    for (let more = true; more && ids.length < 10; ) {
      const after = ids.length > 0 ? `&after=${ids.at(-1)}` : '';
      const { body } = await send('GET', `${id}/input_items?order=asc&limit=2${after}`);
      ids.push(...body.data.map((item: { id: string }) => item.id));
      more = body.has_more;
    }
    expect(ids).toHaveLength(7);
    expect(new Set(ids).size).toBe(7);
    expect(ids[1]).toBe('msg_own');
  });

  it('is only for its own client', async () => {
    const { create, send, post } = storing({ config: { apiKeys: new ApiKeys('k1,k2') } });
    const { id } = await create({ input: 'a' }, 'k1');
    expect((await send('GET', id, 'k1')).status).toBe(200);
    for (const method of ['GET', 'DELETE'] as const) expect((await send(method, id, 'k2')).status).toBe(404);
    expect((await send('GET', `${id}/input_items`, 'k2')).status).toBe(404);
    const stolen = await post({ input: 'b', previous_response_id: id }, { authorization: 'Bearer k2' });
    expect(stolen.json().error).toMatchObject({
      code: 'invalid_request',
      param: 'previous_response_id',
      message: expect.stringContaining('send the earlier items in `input`'),
    });
    expect((await send('GET', id, 'none')).status).toBe(401);
  });

  it('is not kept where the request says so', async () => {
    const { create, send } = storing();
    const { id, store } = await create({ input: 'a', store: false });
    expect([store, (await send('GET', id)).status]).toEqual([false, 404]);
  });

  it('is not continued after a call that was cut off', async () => {
    const { create, post } = storing({
      script: (request) =>
        textEvents(request, '<tool_call>{"name": "now", "arguments": {').map((event) =>
          event.type === 'finished' ? { ...event, reason: 'length' as const } : event,
        ),
    });
    const { id } = await create({ input: 'a', tools: [{ type: 'function', name: 'now' }] });
    const { error } = (await post({ input: 'b', previous_response_id: id })).json();
    expect(error.message).toContain('whose last call was cut off');
  });

  it('is not streamed again', async () => {
    const { create, send } = storing();
    const { id } = await create({ input: 'a' });
    expect((await send('GET', `${id}?include[]=message.output_text.logprobs&stream=false`)).status).toBe(200);
    expect((await send('GET', `${id}?stream=true`)).body.error).toMatchObject({ param: 'stream' });
    expect((await send('GET', `${id}?zebra=1`)).status).toBe(400);
  });
});

it('without a store, nothing is found, and the answer says why', async () => {
  const { app, response } = await respond({ store: true });
  const { id, store } = response.json();
  expect(store).toBe(false);
  for (const path of [id, `${id}/input_items`]) {
    const answer = await app.inject({ method: 'GET', url: `/v1/responses/${path}` });
    expect([answer.statusCode, answer.json().error.message]).toEqual([
      404,
      'This service stores no responses; its operator can set ALTUP_RESPONSES_STORE.',
    ]);
  }
});

describe('the store', () => {
  const stored = (bytes: number) => ({ response: Buffer.alloc(bytes), input: Buffer.alloc(0), itemIds: [] });

  it('drops the least recently used response of the client that holds the most', () => {
    const store = new ResponseStore(10_240);
    store.add('small', 's', stored(1024));
    for (const id of ['1', '2', '3', '4']) store.add('big', id, stored(1024));
    expect(store.get('big', '1')).not.toBeNull();
    store.add('big', '5', stored(1024));
    const held = (client: string, ids: string) => [...ids].map((id) => store.get(client, id) !== null);
    expect([held('small', 's'), held('big', '12345')]).toEqual([[true], [true, false, true, true, true]]);
    store.add('other', 'o', stored(1024));
    expect(held('small', 's').concat(held('other', 'o'))).toEqual([true, true]);
  });

  it('bounds the number of responses too, and keeps none that is larger than the limit', () => {
    const store = new ResponseStore(10_240);
    for (let id = 0; id < 100; id++) store.add(`client ${id % 20}`, String(id), stored(0));
    const kept = Array.from({ length: 100 }, (_, id) => store.get(`client ${id % 20}`, String(id)));
    expect(kept.filter((each) => each !== null)).toHaveLength(10);
    store.add('big', 'x', stored(20_000));
    expect(store.get('big', 'x')).toBeNull();
    expect(store.delete('nobody', 'x')).toBe(false);
  });

  it('says that it does not keep what it drops at once', () => {
    const store = new ResponseStore(10_240);
    expect(store.add('a', '1', stored(4000))).toBe(true);
    expect(store.add('b', '2', stored(7000))).toBe(false);
    expect(store.get('b', '2')).toBeNull();
    expect(store.get('a', '1')).not.toBeNull();
  });

  it('replaces a response of the same id', () => {
    const store = new ResponseStore(10_240);
    for (let i = 0; i < 100; i++) store.add('a', 'same', stored(1024));
    store.add('a', 'other', stored(1024));
    expect(store.get('a', 'same')).not.toBeNull();
  });
});
