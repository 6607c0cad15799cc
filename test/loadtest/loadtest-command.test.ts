import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadtestCommand } from '../../src/cli/loadtest-command.ts';
import { captureOutput } from '../support/capture-output.ts';
import { fakeServer } from '../support/fake-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const refused = ['--model', 'm', '--url', 'http://127.0.0.1:1'];
const run = (...args: string[]) => captureOutput(() => loadtestCommand(args));

it('prints every flag', async () => {
  const { code, stdout } = await run('--help');
  expect(code).toBe(0);
  expect(stdout).toContain('--rate R,…');
});

it('prints them for -h too', async () => {
  expect((await run('-h')).stdout).toContain('--rate R,…');
});

it.each([[['--rates', '1']], [['--rate']], [['extra']]])('%j is wrong usage', async (args) => {
  const { code, stderr } = await run(...args);
  expect(code).toBe(2);
  expect(stderr).toContain('Usage: altup loadtest');
});

it.each<[string[], string]>([
  [['--rate', '0'], '--rate: "0" is not a number above 0'],
  [['--rate', '1,x'], '--rate: "x" is not a number above 0'],
  [['--concurrency', '1.5'], '--concurrency: "1.5" is not a whole number above 0'],
  [['--arrivals', 'gamma:0'], '--arrivals: "gamma:0" is not valid; expected poisson, constant or gamma:B'],
  [['--order', 'random'], '--order: "random" is not valid; expected turns, interleaved'],
  [['--endpoint', 'embeddings'], '--endpoint: "embeddings" is not valid; expected completions, chat'],
  [['--body', '[1]'], '--body: expected a JSON object'],
  [['--body', '{'], '--body: '],
  [['--duration', ''], '--duration: "" is not a number above 0'],
  [['--seed=-1'], '--seed: "-1" is not a whole number from 0'],
  [['--sweep', '--concurrency', '2'], '--sweep raises a rate'],
  [['--sweep', '--sweep-factor', '1'], '--sweep-factor: "1" is not a number above 1'],
  [['--url', 'localhost:8080'], '--url: "localhost:8080" is not an address'],
  [
    ['--rate', '0.001', '--duration', '1', '--warm-up', '0'],
    '--duration: no request comes within 1 s at 0.001/s',
  ],
])('%j is refused by name', async (args, message) => {
  const { code, stderr } = await run(...refused, ...args);
  expect(stderr).toContain(`altup loadtest: ${message}`);
  expect(code).toBe(2);
});

it.each<[string[], string]>([
  [['--trace', '/nowhere'], '--trace: cannot read /nowhere'],
  [['--prompts', '/nowhere'], '--prompts: cannot read /nowhere'],
  [['--json', '/nowhere/report.json'], '--json: cannot write /nowhere/report.json: ENOENT'],
  [['--html', '/'], '--html: cannot write /: EISDIR'],
])('%j names the file that it cannot use, before anything is sent', async (args, message) => {
  const { code, stdout, stderr } = await run(...refused, ...args);
  expect(stderr).toBe(`altup loadtest: ${message}${stderr.slice(stderr.indexOf(message) + message.length)}`);
  expect([code, stdout]).toEqual([1, '']);
});

it('leaves no empty report and changes no old one when it cannot run', async () => {
  const folder = await temporaryFolder();
  const [old, fresh] = [join(folder, 'old.json'), join(folder, 'new.html')];
  await writeFile(old, 'old');
  const { code } = await run(...refused, '--json', old, '--html', fresh);
  expect(code).toBe(1);
  expect([await readFile(old, 'utf8'), existsSync(fresh)]).toEqual(['old', false]);
});

it.each(['', '/', '/v1', '/v1/'])('takes a server’s address that ends with "%s"', async (end) => {
  const { app, log } = fakeServer();
  onTestFinished(() => app.close());
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const load = ['--requests', '2', '--rate', '50', '--output-tokens', '4', '--prompt-words', '2'];
  const { stdout } = await run('--url', `${url}${end}`, ...load);
  expect(stdout).toMatch(/^tiny +50\/s +2 +0 /m);
  const asked = log.flatMap(({ route, status }) => (route === undefined ? [] : [`${route} ${status}`]));
  expect(new Set(asked)).toEqual(new Set(['/v1/models 200', '/metrics 200', '/v1/completions 200']));
});

it.each([
  ['a model that is not served', ['--model', 'tinny'], 'http 404 model_not_found'],
  ['a field that is not known', ['--model', 'tiny', '--body', '{"zebra": 1}'], 'http 400 invalid_request'],
])('ends at the warm-up with %s', async (_what, args, failure) => {
  const { app } = fakeServer();
  onTestFinished(() => app.close());
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const { code, stdout, stderr } = await run('--url', url, ...args);
  expect(stderr).toContain(`: the first request to ${url} failed with ${failure}; nothing was measured`);
  expect([code, stdout]).toEqual([1, '']);
});

it('says that no server is there, and fails', async () => {
  const { code, stderr } = await run('--url', 'http://127.0.0.1:1');
  expect(code).toBe(1);
  expect(stderr).toContain('--model: not given, and http://127.0.0.1:1/v1/models cannot be read');
  const down = await run(...refused, '--requests', '2', '--rate', '50', '--warm-up', '0');
  expect(down.code).toBe(1);
  expect(down.stdout).toContain('failed: 2 × connection ECONNREFUSED');
  expect(down.stdout).toContain('counts: not checked');
});
