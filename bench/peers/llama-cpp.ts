import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { freePort } from '../../test/support/free-port.ts';
import type { BenchResult } from '../result.ts';
import { withE2b } from '../support/e2b-checkpoint.ts';
import { compareServers, type Pair } from './compare-servers.ts';
import { buildLlamaCpp, randomGemma3n, realGemma } from './ggufs.ts';
import type { Capacity, Server } from './serving.ts';

/** Gemma 3 270M in every precision; with `--e2b` a Gemma 3n of E2B's shape in 4 bits instead. */
export async function compareWithLlamaCpp(result: BenchResult): Promise<void> {
  const llamaCpp = buildLlamaCpp();
  const start = (file: string, capacity: Capacity) =>
    startServer(join(llamaCpp, 'build/bin/llama-server'), file, capacity);
  const compare = (model: string, checkpoint: string, pairs: readonly Pair[]) =>
    compareServers({ peer: 'llama.cpp', model, checkpoint, pairs, start }, result);
  if (process.argv.includes('--e2b'))
    return await withE2b(async (checkpoint) =>
      compare('gemma3n-e2b', checkpoint, randomGemma3n(llamaCpp, checkpoint)),
    );
  const { checkpoint, pairs } = realGemma(llamaCpp);
  await compare('gemma-3-270m', checkpoint, pairs);
}

/** Without any reuse of prompts; everything else as by default. */
async function startServer(
  command: string,
  file: string,
  { slots, context, threads }: Capacity,
): Promise<Server> {
  const port = await freePort();
  const child = spawn(
    command,
    [
      ...[
        '--model',
        file,
        '--host',
        '127.0.0.1',
        '--port',
        String(port),
        '--timeout',
        '3600',
        '--no-ui',
        '--offline',
      ],
      ...['--parallel', String(slots), '--ctx-size', String(slots * context), '--no-kv-unified'],
      ...['--threads', String(threads), '--threads-batch', String(threads)],
      ...['--no-cache-prompt', '--cache-ram', '0', '--ctx-checkpoints', '0', '--slot-prompt-similarity', '0'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-10_000);
  });
  const exit = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  while (!(await isHealthy(url))) {
    if (child.exitCode !== null) throw new Error(`llama-server ended before it listened:\n${log}`);
    await setTimeout(20);
  }
  const stop = async () => {
    child.kill();
    await exit;
  };
  return { url, pid: child.pid!, model: file, stop };
}

const isHealthy = (url: string) =>
  fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
