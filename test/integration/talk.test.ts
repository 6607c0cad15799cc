import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { ServiceProcess } from '../support/service-process.ts';

const root = join(import.meta.dirname, '../..');
const models = 'models/austen-t5-dense,models/austen-gemma3';

/** Runs the command line with a piped input. */
async function altup(args: readonly string[], input: string, env: Record<string, string>) {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, ['src/cli.ts', ...args], { cwd: root, env: { PATH, HOME, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.end(input);
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.once('exit', resolve)),
  ]);
  return { code, stdout, stderr };
}

const steady = ['--temperature', '0', '--max-tokens', '8'];

describe('without a running service, one is started for the command', () => {
  it.each([
    ['complete', ['complete', '--model', 'austen-t5-dense', ...steady], 'It is a truth\n'],
    [
      'complete with arguments',
      ['complete', '--model', 'models/austen-t5-dense', ...steady, 'It is', 'a truth'],
      '',
    ],
    ['chat', ['chat', ...steady], 'Who is Mr. Darcy?\n'],
  ])('%s', async (_what, args, input) => {
    const port = await freePort();
    const env = {
      ALTUP_PORT: String(port),
      ALTUP_MODELS: models,
      ALTUP_API_KEYS: 'alpha',
      ALTUP_API_KEY: 'beta',
    };
    const { code, stdout, stderr } = await altup(args, input, env);
    expect(stderr).toMatch(/^(No service runs at http:\S+\. )?Starting one for this command\.\n/);
    expect(stdout).toMatch(/\S.*\n$/);
    expect(code).toBe(0);
  });

  it('a model that cannot be served is said', async () => {
    const env = { ALTUP_PORT: String(await freePort()) };
    const { code, stdout, stderr } = await altup(['chat', '/nowhere/model'], 'hi', env);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/\nmodel failed: \/nowhere\/model.*\naltup chat: no /);
  });
});

describe('a running service', () => {
  it('answers, with the same words as its API', async () => {
    const service = await ServiceProcess.start({ ALTUP_MODELS: models, ALTUP_API_KEYS: 'alpha' });
    onTestFinished(async () => void (await service.stop()));
    const env = { ALTUP_API_KEY: 'alpha' };
    const body = { model: 'austen-t5-dense', prompt: 'It is a truth', temperature: 0, max_tokens: 8 };
    const headers = { 'content-type': 'application/json', authorization: 'Bearer alpha' };
    const answer = await service.post('/v1/completions', body, { headers });
    const { choices } = (await answer.json()) as { choices: { text: string }[] };
    const args = ['--url', `${service.url}/v1`, '--model', 'austen-t5-dense', ...steady];
    const { code, stdout, stderr } = await altup(['complete', ...args], 'It is a truth\n', env);
    expect([code, stdout, stderr]).toEqual([0, `${choices[0]!.text}\n`, '']);
    const keyless = await altup(['complete', ...args], 'It is', {});
    expect([keyless.code, keyless.stderr]).toEqual([
      1,
      `altup complete: ${service.url} needs an API key; set ALTUP_API_KEY\n`,
    ]);
    const long = await altup(['complete', ...args.slice(0, 4), '--max-tokens', '99999'], 'It is', env);
    expect([long.code, long.stderr]).toEqual([1, expect.stringMatching(/^altup complete: `max_tokens` /)]);
  });
});
