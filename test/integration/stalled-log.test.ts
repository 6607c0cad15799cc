import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createReadStream, openSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it, onTestFinished, vi } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

// Thousands of requests take a while on a busy machine.
vi.setConfig({ testTimeout: 90_000 });

/** More log lines than fit into a socket and the queue in front of it. */
const requests = 4500;
const atOnce = 50;

async function serve(stdout: 'pipe' | number) {
  const port = await freePort();
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, ALTUP_PORT: String(port), ALTUP_MODELS: 'models/austen-t5-dense' };
  const child = spawn(process.execPath, ['src/cli.ts', 'serve'], {
    cwd: join(import.meta.dirname, '../..'),
    env,
    stdio: ['ignore', stdout, 'ignore'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  const get = (path: string) => fetch(url + path, { headers: { 'x-request-id': 'x'.repeat(128) } });
  await expect
    .poll(
      () =>
        get('/health/ready').then(
          ({ ok }) => ok,
          () => false,
        ),
      { timeout: 30_000 },
    )
    .toBe(true);
  return { child, get };
}

async function logFlood(get: (path: string) => Promise<Response>): Promise<void> {
  for (let done = 0; done < requests; done += atOnce) {
    const answers = await Promise.all(Array.from({ length: atOnce }, () => get('/nothing')));
    for (const answer of answers) {
      expect(answer.status).toBe(404);
      await answer.arrayBuffer();
    }
  }
}

async function droppedLines(get: (path: string) => Promise<Response>): Promise<number> {
  const text = await (await get('/metrics')).text();
  return Number(/^altup_log_lines_dropped_total (\d+)$/m.exec(text)?.[1]);
}

it('answers and stops while nobody reads its log, and counts the lines lost', async () => {
  const { child, get } = await serve('pipe');
  await logFlood(get);
  expect(await droppedLines(get)).toBeGreaterThan(100);
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

it('goes on with its log once that is read again', async () => {
  const file = join(await temporaryFolder(), 'log');
  execFileSync('mkfifo', [file]);
  const pipe = openSync(file, 'r+');
  const { get } = await serve(pipe);
  await logFlood(get);
  const lost: number[] = [];
  const input = createReadStream(file);
  onTestFinished(() => closeSync(pipe));
  createInterface(input).on('line', (line) => {
    const { msg, lines } = JSON.parse(line) as { msg: string; lines: number };
    if (msg === 'log lines dropped') lost.push(lines);
  });
  await expect.poll(() => lost, { timeout: 10_000 }).toEqual([await droppedLines(get)]);
});

it.runIf(process.platform === 'linux')('answers and stops while its disk is full', async () => {
  const full = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(full));
  const { child, get } = await serve(full);
  await logFlood(get);
  expect(await droppedLines(get)).toBeGreaterThan(100);
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
