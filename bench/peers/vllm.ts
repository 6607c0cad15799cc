import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '../../test/support/free-port.ts';
import type { BenchResult } from '../result.ts';
import { compareServers } from './compare-servers.ts';
import { realGemmaCheckpoint } from './ggufs.ts';
import type { Capacity, Server } from './serving.ts';
import { spawnServer } from './spawn-server.ts';

/** Gemma 3 270M in float32, in which vLLM's CPU build computes dense checkpoints. */
export async function compareWithVllm(result: BenchResult): Promise<void> {
  const script = join(import.meta.dirname, 'install-vllm.sh');
  const folder = execFileSync(script, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  const checkpoint = realGemmaCheckpoint();
  const pairs = [{ precision: 'fp32', format: 'float32', file: async () => checkpoint }] as const;
  const start = (weights: string, capacity: Capacity) => startServer(folder, weights, capacity);
  await compareServers({ peer: 'vLLM', model: 'gemma-3-270m', checkpoint, pairs, start }, result);
}

/** Without reuse of prompts; the cache has room for all slots. */
async function startServer(
  folder: string,
  weights: string,
  { slots, context, threads }: Capacity,
): Promise<Server> {
  const port = await freePort();
  const server = await spawnServer({
    command: join(folder, 'bin/python'),
    args: [
      ...['-m', 'vllm.entrypoints.openai.api_server', '--model', weights, '--dtype', 'float32'],
      ...['--host', '127.0.0.1', '--port', String(port), '--no-enable-prefix-caching'],
      ...['--max-num-seqs', String(slots), '--max-model-len', String(context)],
    ],
    env: {
      // As its installation guide advises; the other library of that advice is no part of PyPI.
      LD_PRELOAD: join(folder, 'lib/libiomp5.so'),
      VLLM_CPU_OMP_THREADS_BIND: 'nobind',
      OMP_NUM_THREADS: String(threads),
      VLLM_CPU_KVCACHE_SPACE: '4',
      VLLM_NO_USAGE_STATS: '1',
      HF_HUB_OFFLINE: '1',
    },
    port,
  });
  return { ...server, model: weights };
}
