import { writeFile } from 'node:fs/promises';
import { compareWithLlamaCpp } from './peers/llama-cpp.ts';
import { compareWithTransformers } from './peers/transformers.ts';
import { compareWithVllm } from './peers/vllm.ts';
import type { BenchResult } from './result.ts';
import { barChart } from './support/picture.ts';

const peers: Record<string, (result: BenchResult) => Promise<void>> = {
  transformers: compareWithTransformers,
  'llama.cpp': compareWithLlamaCpp,
  vllm: compareWithVllm,
};

/**
 * `npm run bench -- peers <peer>` compares with one, `npm run bench -- peers` with all. `--picture <file>` draws the
 * ratios of the speeds, as SVG.
 */
export async function run(): Promise<BenchResult> {
  const [given] = process.argv.slice(3);
  const asked = given?.startsWith('--') ? undefined : given;
  if (asked !== undefined && !peers[asked])
    throw new Error(`no peer is named ${asked}; give ${Object.keys(peers).join(', ')}, or none for all`);
  const result: BenchResult = { name: 'peers', rows: [], ratios: {} };
  for (const [name, compare] of Object.entries(peers))
    if (asked === undefined || asked === name) await compare(result);
  const at = process.argv.indexOf('--picture');
  if (at > 0) await writeFile(process.argv[at + 1]!, pictureOf(result));
  return result;
}

function pictureOf({ rows }: BenchResult): string {
  const bars = rows
    .filter(({ what, ratio }) => String(what).endsWith(', tokens/s') && ratio !== undefined)
    .map(({ model, weights, what, ratio, ...row }) => {
      const [least, most] = String(row['ratio, range']).split('–').map(Number);
      const label = String(what).replace(', tokens/s', '');
      return { group: `${model}, ${weights}`, label, value: Number(ratio), least: least!, most: most! };
    });
  return barChart('Speed of altup-serve ÷ speed of the other server (1: the same)', bars, 350);
}
