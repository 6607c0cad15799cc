import { expect, it } from 'vitest';
import { loadtestCommand } from '../../src/cli/loadtest-command.ts';
import { captureOutput } from '../support/capture-output.ts';

const refused = ['--model', 'm', '--url', 'http://127.0.0.1:1'];
const run = (...args: string[]) => captureOutput(() => loadtestCommand(args));

it('prints every flag', async () => {
  const { code, stdout } = await run('--help');
  expect(code).toBe(0);
  expect(stdout).toContain('--rate R,…');
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
  [['--trace', '/nowhere'], '--trace: cannot read /nowhere'],
  [['--prompts', '/nowhere'], '--prompts: cannot read /nowhere'],
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
  expect(code).toBe(1);
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
