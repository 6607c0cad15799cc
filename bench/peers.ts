import { compareWithLlamaCpp } from './peers/llama-cpp.ts';
import { compareWithTransformers } from './peers/transformers.ts';
import { compareWithVllm } from './peers/vllm.ts';
import type { BenchResult } from './result.ts';

const peers: Record<string, (result: BenchResult) => Promise<void>> = {
  transformers: compareWithTransformers,
  'llama.cpp': compareWithLlamaCpp,
  vllm: compareWithVllm,
};

/** `npm run bench -- peers <peer>` compares with one, `npm run bench -- peers` with all. */
export async function run(): Promise<BenchResult> {
  const [given] = process.argv.slice(3);
  const asked = given?.startsWith('--') ? undefined : given;
  if (asked !== undefined && !peers[asked])
    throw new Error(`no peer is named ${asked}; give ${Object.keys(peers).join(', ')}, or none for all`);
  const result: BenchResult = { name: 'peers', rows: [], ratios: {} };
  for (const [name, compare] of Object.entries(peers))
    if (asked === undefined || asked === name) await compare(result);
  return result;
}
