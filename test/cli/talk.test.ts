import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { json } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Chat } from '../../src/cli/talk/chat.ts';
import { connect } from '../../src/cli/talk/connect.ts';
import { converse } from '../../src/cli/talk/converse.ts';

interface Asked {
  model: string;
  messages: { role: string; content: string }[];
  temperature?: number;
}

type Script = (asked: Asked, response: ServerResponse, send: (chunk: object) => void) => void;

const says =
  (...pieces: string[]): Script =>
  (_asked, response, send) => {
    for (const content of pieces) send({ choices: [{ delta: { content } }] });
    send({ choices: [], usage: { completion_tokens: pieces.length } });
    response.end('data: [DONE]\n\n');
  };

/** Another server of this API. */
async function otherServer(script: Script = says('o', 'k'), models: object[] = [{ id: 'other' }]) {
  const asked: Asked[] = [];
  const keys: (string | undefined)[] = [];
  const server = createServer(async (request, response) => {
    keys.push(request.headers.authorization);
    if (request.url === '/v1/models') return void response.end(JSON.stringify({ data: models }));
    const body = (await json(request)) as Asked;
    asked.push(body);
    script(body, response, (chunk) => response.write(`data: ${JSON.stringify(chunk)}\n\n`));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, keys };
}

/** A person at a terminal who talks to a server. */
function person(url: string, system: string | null = null, contextTokens: number | null = null) {
  const input = new PassThrough();
  const output = Object.assign(new PassThrough(), { isTTY: true });
  let seen = '';
  output.setEncoding('utf8').on('data', (text: string) => (seen += text));
  const terminal = { input, output, notes: output };
  const connection = { server: { url, apiKey: null }, model: 'other', contextTokens };
  const chat = new Chat(connection, { temperature: 0 }, system, terminal);
  const ended = converse(terminal, (line, signal) => chat.take(line, signal));
  const sees = (text: string | RegExp) => expect.poll(() => seen).toMatch(text);
  const type = async (line: string, then: string | RegExp) => {
    seen = '';
    input.write(`${line}\r`);
    await sees(then);
  };
  return { input, type, sees, ended };
}

const contents = ({ messages }: Asked) => messages.map(({ role, content }) => `${role}: ${content}`);

describe('a chat', () => {
  it('keeps its history, and its system text, until it is reset', async () => {
    const { url, asked } = await otherServer();
    const { type, ended } = person(url, 'Be kind.');
    await type('one', /ok\s*\(2 tokens in \d+\.\d s\)/);
    await type('two', '(2 tokens in');
    await type('/system Be brief.', 'reads this before');
    await type('three', '(2 tokens in');
    await type('/reset', 'begins anew');
    await type('/system', 'No system text');
    await type('four', '(2 tokens in');
    await type('/quit', '');
    await ended;
    const turns = ['user: one', 'assistant: ok', 'user: two', 'assistant: ok', 'user: three'];
    expect(asked.map(contents)).toEqual([
      ['system: Be kind.', ...turns.slice(0, 1)],
      ['system: Be kind.', ...turns.slice(0, 3)],
      ['system: Be brief.', ...turns],
      ['user: four'],
    ]);
    expect(asked[0]).toMatchObject({ model: 'other', stream: true, temperature: 0 });
  });

  it('stops an answer at Ctrl-C, and goes on with what came', async () => {
    let isClosed = false;
    const { url, asked } = await otherServer((body, response, send) => {
      if (body.messages.length > 1) return says('end')(body, response, send);
      send({ choices: [{ delta: { content: 'begun' } }] });
      response.on('close', () => {
        isClosed = true;
      });
    });
    const { input, type, sees, ended } = person(url);
    await type('go', 'begun');
    input.write('\x03');
    await sees(/begun\r?\n\(stopped\)/);
    await expect.poll(() => isClosed).toBe(true);
    await type('again', '(1 token in');
    expect(contents(asked[1]!)).toEqual(['user: go', 'assistant: begun', 'user: again']);
    input.write('half a line\x03');
    await sees('Ctrl-D ends');
    await type('whole', '(1 token in');
    expect(contents(asked[2]!).at(-1)).toBe('user: whole');
    input.write('\x04');
    await ended;
  });

  it('shows a refusal, leaves its message out, and goes on', async () => {
    const { url, asked } = await otherServer((body, response, send) => {
      const [{ content }] = body.messages.slice(-1) as [Asked['messages'][0]];
      if (content === 'refuse') response.writeHead(400).end('{"error": {"message": "It is too long."}}');
      else if (content === 'break') {
        send({ error: { message: 'The engine failed.' } });
        response.end();
      } else says('ok')(body, response, send);
    });
    const { type } = person(url);
    await type('refuse', 'It is too long.');
    await type('break', 'The engine failed.');
    await type('/zebra', 'There is no /zebra');
    await type('fine', '(1 token in');
    expect(contents(asked[2]!)).toEqual(['user: fine']);
  });

  it('leaves room for further turns, and says how to go on if there is none', async () => {
    const { url, asked } = await otherServer((body, response, send) => {
      if (body.messages.length > 1)
        return void response.writeHead(400).end('{"error": {"message": "It is too long."}}');
      send({ choices: [{ delta: { content: 'ok' }, finish_reason: 'length' }] });
      response.end();
    });
    const { type } = person(url, null, 510);
    await type('one', /ok\s*\(\d+\.\d s, cut off by --max-tokens\)/);
    expect(asked[0]).toMatchObject({ max_tokens: 128 });
    await type('two', /It is too long\.\s*If the chat has become too long, \/reset begins it anew\./);
    await type('/reset', 'begins anew');
    await type('three', 'cut off');
  });

  it('lets no answer change the terminal', async () => {
    const { url, asked } = await otherServer(says('a\u001b[2J', 'b\u009b\tc\n'));
    const { type } = person(url);
    await type('go', /\na\[2Jb\tc\n\(2 tokens/);
    await type('again', '(2 tokens');
    expect(asked[1]!.messages[1]!.content, 'the model’s own words').toBe('a\u001b[2Jb\u009b\tc\n');
  });
});

describe('connect', () => {
  const wanted = { url: undefined, model: undefined, apiKey: undefined, isChat: false };
  const find = async (models: object[], more: object, env = {}) => {
    const { url, keys } = await otherServer(says(), models);
    const notes: string[] = [];
    const found = await connect({ ...wanted, url, ...more }, env, (note) => notes.push(note));
    return { ...found, url, keys, notes };
  };
  const listed = [
    { id: 'bad', state: 'failed', has_chat_template: null },
    { id: 'plain', state: 'ready', has_chat_template: false },
    { id: 'chatty', state: 'ready', has_chat_template: true },
  ];

  it.each<[object, string]>([
    [{}, 'plain'],
    [{ isChat: true }, 'chatty'],
    [{ model: 'chatty' }, 'chatty'],
    [{ model: 'plain:fp32' }, 'plain:fp32'],
  ])('%j finds %s', async (more, model) => {
    const found = await find(listed, more);
    expect(found).toMatchObject({ model, server: { url: found.url, apiKey: null }, notes: [] });
  });

  it('takes a loaded model before one that a request would load, and that one if there is no other', async () => {
    const out = { id: 'out', state: 'unloaded', has_chat_template: true };
    expect((await find([out, ...listed], { isChat: true })).model).toBe('chatty');
    expect((await find([out, ...listed], { model: 'out' })).model).toBe('out');
    expect((await find([out], {})).model).toBe('out');
  });

  it('takes a server that only tells names', async () => {
    expect((await find([{ id: 'org/model' }], { isChat: true, model: 'org/model' })).model).toBe('org/model');
  });

  it('sends the key, from the flag before the variable', async () => {
    const env = { ALTUP_API_KEY: 'alpha' };
    expect((await find(listed, {}, env)).keys).toContain('Bearer alpha');
    expect((await find(listed, { apiKey: 'beta' }, env)).keys).not.toContain('Bearer alpha');
  });

  it.each<[object, string]>([
    [{ model: 'zebra' }, "no model is named 'zebra'; served: bad, plain, chatty"],
    [{ model: 'bad' }, 'no such model could be loaded; the server’s log says why'],
    [{ model: 'plain', isChat: true }, 'plain has no chat template; choose chatty, or use altup complete'],
  ])('%j is refused with what there is', async (more, message) => {
    await expect(find(listed, more)).rejects.toThrow(message);
  });

  it('waits for a model that loads', async () => {
    const models = [{ id: 'slow', state: 'loading' }];
    const { url } = await otherServer(says(), models);
    const found = connect({ ...wanted, url, model: 'slow' }, {}, () => {});
    setTimeout(() => Object.assign(models[0]!, { state: 'ready' }), 300);
    expect((await found).model).toBe('slow');
    expect(models[0]!.state).toBe('ready');
  });

  it('says that no server answers', async () => {
    const refused = connect({ ...wanted, url: 'http://127.0.0.1:1' }, {}, () => {});
    await expect(refused).rejects.toThrow('--url: no server of this API answers at http://127.0.0.1:1');
  });
});
