import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const shipped = join(import.meta.dirname, '../../models/austen-t5-altup-k2');
const loops = '{% for a in range(3000) %}{% for b in range(3000) %}{% for c in range(3000) %}x';
const templates = {
  range: '{% for i in range(100000000) %}x{% endfor %}',
  loops: `${loops}${'{% endfor %}'.repeat(3)}`,
  good: "{% for message in messages %}{{ message['content'] }}{% endfor %}",
};

let service: ServiceProcess;
let models: string;

beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), 'altup-test-'));
  const copy = async (name: string) => {
    const folder = join(models, name);
    await cp(shipped, folder, { recursive: true, preserveTimestamps: true });
    return folder;
  };
  for (const [name, template] of Object.entries(templates))
    await writeFile(join(await copy(name), 'chat_template.jinja'), template);
  const backtracks = join(await copy('backtracks'), 'tokenizer.json');
  const json = JSON.parse(await readFile(backtracks, 'utf8'));
  json.pre_tokenizer = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false };
  await writeFile(backtracks, JSON.stringify(json));
  service = await ServiceProcess.start({ ALTUP_MODELS: models, ALTUP_DRAIN_TIMEOUT_MS: '2000' });
});
afterAll(async () => {
  service?.signal('SIGKILL');
  await rm(models, { recursive: true });
});

const messages = [{ role: 'user', content: 'It is' }];
const chat = (model: string) => service.post('/v1/chat/completions', { model, messages, max_tokens: 2 });
const attacks = [
  () => chat('range'),
  () => chat('loops'),
  () => service.post('/v1/completions', { model: 'backtracks', prompt: `${'a'.repeat(70)}b`, max_tokens: 2 }),
  () => service.post('/tokenize', { model: 'backtracks', prompt: `${'a'.repeat(70)}b` }),
];

it('what checkpoints make the service run fails their own requests, and holds nobody up', async () => {
  const failing = Promise.all(attacks.map((attack) => attack()));
  let isOver = false;
  failing.finally(() => {
    isOver = true;
  });
  const live: number[] = [];
  while (!isOver) {
    const askedAt = performance.now();
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
    live.push(performance.now() - askedAt);
    const good = await chat('good');
    expect(good.status, await good.text()).toBe(200);
    await setTimeout(20);
  }
  // Earlier, these attacks blocked the event loop for seconds.
  expect(live.sort((a, b) => a - b)[live.length >> 1]).toBeLessThan(250);
  for (const response of await failing) {
    expect(response.status).toBe(500);
    expect(((await response.json()) as { error: object }).error).toMatchObject({
      code: 'text_failure',
      message: expect.stringMatching(
        /of the model '(range|loops|backtracks)' (took longer than|needed too much)/,
      ),
    });
  }
  expect(await service.metric('altup_texts_waiting{')).toBe(0);
  expect(await service.metric('altup_tokenize_seconds_count{model="backtracks"')).toBe(2);
});

it('eight texts of a megabyte whose clients are gone do not hold up another', async () => {
  const leaving = new AbortController();
  const megabyte = 'It is a truth universally acknowledged. '.repeat(25_000);
  const sent = Array.from({ length: 8 }, () =>
    service.post('/tokenize', { model: 'good', prompt: megabyte }, { signal: leaving.signal }),
  );
  const gone = Promise.allSettled(sent);
  await service.metricReaches(7, 'altup_texts_waiting{');
  leaving.abort();
  await gone;
  await service.metricReaches(0, 'altup_texts_waiting{');
  const askedAt = performance.now();
  const long = await service.post('/tokenize', { model: 'good', prompt: 'Emma '.repeat(2000) });
  expect(long.status).toBe(200);
  // Each of the eight takes seconds; a new process and this text take less time than one of them.
  expect(performance.now() - askedAt).toBeLessThan(5000);
});

it('SIGTERM is obeyed meanwhile, and leaves no process', async () => {
  const under = attacks.map((attack) => attack().catch(() => null));
  await setTimeout(300);
  const { pid } = service;
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
  expect(children.length).toBeGreaterThan(0);
  const stoppedAt = performance.now();
  expect(await service.stop()).toBe(0);
  expect(performance.now() - stoppedAt).toBeLessThan(10_000);
  for (const child of children)
    await expect(readFile(`/proc/${child}/cmdline`)).rejects.toThrow(/ENOENT|ESRCH/);
  await Promise.all(under);
});
