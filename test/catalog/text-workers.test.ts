import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  type ModelTexts,
  readTexts,
  type TextOwner,
  TextWorkers,
} from '../../src/catalog/texts/text-workers.ts';
import { ChatTemplateError } from '../../src/catalog/tokenizer/chat-template.ts';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { longestTurn } from '../support/longest-turn.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { byteLevelTokenizer } from '../support/tiny-tokenizers.ts';

const waiting = { texts: 0, done: 0 };
const observer = {
  textWaiting: (_: string, change: number) => {
    waiting.texts += change;
  },
  textDone: () => {
    waiting.done += 1;
  },
};
const shared = new TextWorkers(observer);
afterAll(() => shared.close());

interface Given {
  tokenizer?: object;
  template?: string;
}

async function checkpointOf({ tokenizer = {}, template }: Given): Promise<string> {
  const folder = await temporaryFolder();
  const json = { ...byteLevelTokenizer(), ...tokenizer };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(join(folder, 'tokenizer_config.json'), '{}');
  if (template !== undefined) writeFileSync(join(folder, 'chat_template.jinja'), template);
  return folder;
}

const textsOf = async (given: Given, workers = shared): Promise<ModelTexts> =>
  readTexts(await checkpointOf(given), workers);

const owner = (overrides: Partial<TextOwner> = {}): TextOwner => ({
  client: 'a',
  model: 'm',
  signal: new AbortController().signal,
  waitMs: 30_000,
  ...overrides,
});

const encode = async ({ texts }: ModelTexts, text: string, whose = owner(), last = 1e9) => {
  const [encoded] = await texts.encode({ texts: [text], addSpecialTokens: true, last }, whose);
  return encoded!;
};
const render = ({ texts }: ModelTexts, content = 'hi', whose = owner()) =>
  texts.render!(
    [{ role: 'user', content }],
    { addGenerationPrompt: true, continuesFinal: false, variables: {} },
    whose,
  );

/** Maximum block of the event loop while others wait for a text, milliseconds. */
const longestAllowedMs = 100;

const split = (regex: string) => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
});
const evilText = `${'a'.repeat(70)}b`;
const nested = (depth: number, count: number) =>
  `${'{% for i in range(COUNT) %}'.replace('COUNT', String(count)).repeat(depth)}x${'{% endfor %}'.repeat(depth)}`;
const doubling = (times: number, rest: string) =>
  `{% set ns = namespace(s="aaaaaaaaaaaaaaaa") %}{% for i in range(${times}) %}{% set ns.s = ns.s + ns.s %}{% endfor %}${rest}`;

describe('texts', () => {
  it('become the same tokens as in this process, short or long', async () => {
    const folder = await checkpointOf({});
    const read = await readTexts(folder, shared);
    const tokenizer = Tokenizer.load(folder);
    for (const text of ['', 'the € ', 'the he € '.repeat(5000)]) {
      const expected = tokenizer.encode(text);
      expect(await encode(read, text)).toEqual({
        count: expected.length,
        tokens: Int32Array.from(expected),
      });
      expect((await encode(read, text, owner(), 2)).tokens).toEqual(Int32Array.from(expected.slice(-2)));
    }
    expect(read.vocabulary.data).toEqual(tokenizer.data);
    expect(read.texts.render).toBeNull();
    expect(waiting.texts).toBe(0);
  });

  it('run in the process that has read the tokenizer', async () => {
    const processes = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    const workers = new TextWorkers(observer);
    onTestFinished(() => workers.close());
    const before = new Set(processes());
    const read = await textsOf({}, workers);
    const [own, ...others] = processes().filter((pid) => !before.has(pid));
    expect(others).toEqual([]);
    expect((await encode(read, 'the')).count).toBe(3);
    // That of a second tokenizer ends, because the first takes short texts.
    await encode(await textsOf({}, workers), 'the');
    await expect.poll(() => processes().filter((pid) => !before.has(pid))).toEqual([own]);
  });

  it('of a model that is unloaded have its tokenizer read again', async () => {
    const folder = await checkpointOf({});
    const read = await readTexts(folder, shared);
    writeFileSync(join(folder, 'tokenizer.json'), '{}');
    expect((await encode(read, 'a')).count).toBe(2);
    read.texts.forget();
    await expect(encode(read, 'a')).rejects.toMatchObject({ code: 'text_failure' });
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteLevelTokenizer()));
    await read.texts.prepare();
    expect((await encode(read, 'a')).count).toBe(2);
  });

  it('of /tokenize come as JSON', async () => {
    const { texts } = await textsOf({});
    const job = { text: 'a€', addSpecialTokens: false, givesStrings: true };
    const { count, fields } = await texts.tokenize(job, owner());
    expect(JSON.parse(`{${Buffer.from(fields)}}`)).toEqual({
      tokens: [3 + 97, 263 - 1, 3 + 0xac],
      token_strs: ['a', 'bytes:\\xe2\\x82', 'bytes:\\xac'],
    });
    expect(count).toBe(3);
  });

  it('of a checkpoint that cannot be read are refused with the file', async () => {
    await expect(readTexts('/nowhere', shared)).rejects.toThrow(/\/nowhere\/tokenizer\.json cannot be read/);
    await expect(textsOf({ template: '{% if %}' })).rejects.toThrow(/jinja is not a chat template/);
    await expect(textsOf({ tokenizer: { decoder: null } })).rejects.toThrow(/has no decoder/);
  });
});

describe('what a checkpoint makes the service run', () => {
  it.each<[string, Given, 'text' | 'chat', RegExp]>([
    [
      'a template with a huge range',
      { template: '{% for i in range(100000000) %}{% endfor %}' },
      'chat',
      /memory|2 s/,
    ],
    [
      'a template of nested loops',
      { template: nested(3, 3000) },
      'chat',
      /chat template of the model 'm' took longer than 2 s/,
    ],
    [
      'a template that doubles for ever',
      { template: doubling(60, '{{ ns.s }}') },
      'chat',
      /chat template .* produced too much output/,
    ],
    [
      'a template that writes gigabytes',
      { template: doubling(20, '{% for i in range(20) %}{{ ns.s }}{% endfor %}') },
      'chat',
      /produced too much output/,
    ],
    [
      'a pre-tokenizer that backtracks',
      { tokenizer: split('(a+)+$') },
      'text',
      /tokenizer of the model 'm' took longer than 2 s/,
    ],
    [
      'a normalizer that prepends megabytes',
      { tokenizer: { normalizer: { type: 'Prepend', prepend: 'a b '.repeat(1_500_000) } } },
      'text',
      /tokenizer of the model 'm' (took longer|needed too much memory)/,
    ],
    [
      'a normalizer that multiplies',
      {
        tokenizer: {
          normalizer: {
            type: 'Sequence',
            normalizers: Array(12).fill({ type: 'Replace', pattern: { Regex: 'a' }, content: 'aaaaaaaa' }),
          },
        },
      },
      'text',
      /took longer|memory|too much output/,
    ],
  ])('%s fails its own request alone', async (_, given, kind, message) => {
    const good = await textsOf({ template: 'ok' });
    const evil = await textsOf(given);
    const failing = longestTurn<unknown>(() => (kind === 'chat' ? render(evil) : encode(evil, evilText)));
    const other = await encode(good, 'the', owner({ client: 'b' }));
    expect(other.count).toBe(3);
    const { outcome, turnMs } = await failing;
    expect(outcome).toMatchObject({ code: 'text_failure', message: expect.stringMatching(message) });
    expect(turnMs).toBeLessThan(longestAllowedMs);
    expect(await render(good)).toBe('ok');
    expect(waiting.texts).toBe(0);
  });

  it.each<[string, object, RegExp]>([
    [
      'a decoder with a regular expression',
      { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' },
      /Replace.* is not supported/,
    ],
    [
      'a decoder that makes tokens huge',
      {
        type: 'Sequence',
        decoders: [
          ...Array(2).fill({ type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(12_000) }),
          { type: 'Fuse' },
        ],
      },
      /stand for more than 134217728 bytes/,
    ],
  ])('%s is refused when it is read', async (_, decoder, message) => {
    const { outcome, turnMs } = await longestTurn(() => textsOf({ tokenizer: { decoder } }));
    expect((outcome as Error).message).toMatch(message);
    expect(turnMs).toBeLessThan(longestAllowedMs);
  });

  it('is kept apart after it ran out of time, so that others no longer meet it', async () => {
    const workers = new TextWorkers(observer);
    onTestFinished(() => workers.close());
    const [good, evil] = [await textsOf({}, workers), await textsOf({ tokenizer: split('(a+)+$') }, workers)];
    await expect(encode(evil, evilText)).rejects.toThrow('took longer than 2 s');
    let isOver = false;
    const again = encode(evil, evilText)
      .catch(() => {})
      .finally(() => {
        isOver = true;
      });
    for (let i = 0; i < 5; i++) await encode(good, 'the', owner({ client: 'b' }));
    expect(isOver).toBe(false);
    await again;
  });

  it('holds up nobody else while it runs out of time', async () => {
    const workers = new TextWorkers(observer);
    onTestFinished(() => workers.close());
    const good = await textsOf({}, workers);
    const evil = await Promise.all([1, 2].map(() => textsOf({ tokenizer: split('(a+)+$') }, workers)));
    let running = evil.length;
    const late = evil.map((each) =>
      encode(each, evilText).catch(({ message }: Error) => {
        running -= 1;
        return message;
      }),
    );
    await encode(good, 'the', owner({ client: 'b' }));
    await encode(good, 'the', owner({ client: 'b' }));
    expect(running).toBe(2);
    for (const message of await Promise.all(late)) expect(message).toContain('took longer than 2 s');
    expect((await encode(good, 'the')).count).toBe(3);
  });

  it('refuses messages in its own words', async () => {
    const read = await textsOf({ template: "{{ raise_exception('Take turns') }}" });
    await expect(render(read)).rejects.toThrow(ChatTemplateError);
    await expect(render(read)).rejects.toThrow('Take turns');
  });

  it('sees nothing of the environment', async () => {
    process.env.ALTUP_SECRET = 'secret';
    onTestFinished(() => {
      delete process.env.ALTUP_SECRET;
    });
    const workers = new TextWorkers(observer);
    onTestFinished(() => workers.close());
    await textsOf({}, workers);
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    const processes = children.filter((pid) => procFile(pid, 'cmdline').includes('text-worker.ts'));
    expect(processes.length).toBeGreaterThan(0);
    for (const pid of processes) expect(procFile(pid, 'environ')).not.toContain('ALTUP_');
  });
});

/** A file of /proc; empty if the process has just ended. */
function procFile(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

describe('texts that wait', () => {
  const long = 'the he € '.repeat(20_000);

  it('take turns by client', async () => {
    const read = await textsOf({});
    const order: string[] = [];
    const jobs = ['a', 'a', 'a', 'b', 'c'].map((client, i) =>
      encode(read, long, owner({ client })).then(() => order.push(`${client}${i}`)),
    );
    await Promise.all(jobs);
    expect(order).toEqual(['a0', 'a1', 'b3', 'c4', 'a2']);
  });

  it('go with their client, whose running one soon ends', async () => {
    const read = await textsOf({});
    const left = new AbortController();
    const megabyte = 'the he € '.repeat(100_000);
    const lost = Array.from({ length: 8 }, () => encode(read, megabyte, owner({ signal: left.signal })));
    const settled = Promise.allSettled(lost);
    expect(waiting.texts).toBe(7);
    left.abort(new Error('gone'));
    expect((await settled).every((one) => one.status === 'rejected' && one.reason.message === 'gone')).toBe(
      true,
    );
    expect(waiting.texts).toBe(0);
    expect((await encode(read, 'the '.repeat(750), owner({ client: 'b' }))).count).toBeGreaterThan(750);
  });

  it('are refused beyond their limits, with the time to come back', async () => {
    const read = await textsOf({});
    const left = new AbortController();
    const huge = 'a'.repeat(2 ** 23);
    const whose = (client: string) => owner({ client, signal: left.signal });
    // One runs and four wait: the maximum is one waiting text per client and four in all.
    const taken = ['a', 'a', 'b', 'c', 'd'].map((client) => encode(read, huge, whose(client)));
    const settled = Promise.allSettled(taken);
    await expect(encode(read, huge, whose('a'))).rejects.toMatchObject({
      code: 'queue_full',
      retryAfterSeconds: expect.any(Number),
    });
    await expect(encode(read, huge, whose('e'))).rejects.toMatchObject({ code: 'queue_full' });
    expect((await encode(read, 'the', whose('c'))).count).toBe(3);
    left.abort(new Error('gone'));
    await settled;
  });

  it('wait no longer than they may', async () => {
    const read = await textsOf({});
    const first = encode(read, long);
    await expect(encode(read, long, owner({ waitMs: 1 }))).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
    await first;
  });

  it('are told when the service stops', async () => {
    const workers = new TextWorkers(observer);
    const read = await textsOf({}, workers);
    const jobs = [1, 2].map(() => encode(read, long));
    const settled = Promise.allSettled(jobs);
    workers.close();
    expect(await settled).toMatchObject([
      { reason: { code: 'shutting_down' } },
      { reason: { code: 'shutting_down' } },
    ]);
    await expect(encode(read, 'a')).rejects.toMatchObject({ code: 'shutting_down' });
  });
});
