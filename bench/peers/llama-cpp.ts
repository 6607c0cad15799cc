import { join } from 'node:path';
import { freePort } from '../../test/support/free-port.ts';
import type { BenchResult } from '../result.ts';
import { withE2b } from '../support/e2b-checkpoint.ts';
import { compareServers, type Pair } from './compare-servers.ts';
import { buildLlamaCpp, randomGemma3n, realGemma } from './ggufs.ts';
import type { Capacity, Server } from './serving.ts';
import { spawnServer } from './spawn-server.ts';

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
  const server = await spawnServer({
    command,
    args: [
      ...['--model', file, '--host', '127.0.0.1', '--port', String(port)],
      ...['--timeout', '3600', '--no-ui', '--offline'],
      ...['--parallel', String(slots), '--ctx-size', String(slots * context), '--no-kv-unified'],
      ...['--threads', String(threads), '--threads-batch', String(threads)],
      ...['--no-cache-prompt', '--cache-ram', '0', '--ctx-checkpoints', '0', '--slot-prompt-similarity', '0'],
    ],
    port,
  });
  return { ...server, model: file };
}
