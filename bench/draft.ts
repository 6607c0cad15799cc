import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Precision } from '../src/catalog/manifest.ts';
import { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import { realGemma, setup } from '../test/real/real-weights.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';

const rounds = 5;
const shipped = (name: string) => join(import.meta.dirname, '../models', name);

interface Pair {
  name: string;
  checkpoint: string;
  precision: Precision;
  draft: { checkpoint: string; precision: Precision };
  maxTokens: number;
}

const real = (draft: Precision): Pair => ({
  name: `gemma-3-270m fp32 ← ${draft}`,
  checkpoint: realGemma,
  precision: 'fp32',
  draft: { checkpoint: realGemma, precision: draft },
  maxTokens: 96,
});

/** The first is worth a draft; the others are as small as their drafts, and show what one costs that does not pay. */
const pairs: readonly Pair[] = [
  real('int4'),
  {
    name: 'austen-t5-altup-k2 ← austen-t5-dense',
    checkpoint: shipped('austen-t5-altup-k2'),
    precision: 'fp32',
    draft: { checkpoint: shipped('austen-t5-dense'), precision: 'fp32' },
    maxTokens: 400,
  },
  {
    name: 'austen-gemma3n ← austen-gemma3',
    checkpoint: shipped('austen-gemma3n'),
    precision: 'fp32',
    draft: { checkpoint: shipped('austen-gemma3'), precision: 'fp32' },
    maxTokens: 400,
  },
];

/**
 * Compares one stream and four of several models with a draft and without: tokens per second, processor time (which other
 * programs disturb less), and whether the tokens are the same. Prompt lookup is off. `--small` leaves out the real model.
 */
export async function run(): Promise<BenchResult> {
  const text = await readFile(new URL('austen-held-out.txt', import.meta.url), 'utf8');
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  let isSame = true;
  for (const pair of process.argv.includes('--small') ? pairs.slice(1) : pairs) {
    const { name, checkpoint, precision, draft, maxTokens } = pair;
    if (checkpoint === realGemma) setup();
    const tokenizer = Tokenizer.load(checkpoint);
    const passage = (i: number) => tokenizer.encode(text.slice(3000 * (i + 1), 3000 * (i + 1) + 300));
    const open = (drafted: boolean) =>
      EngineAlone.open(checkpoint, { slots: 4, maxContext: 512 }, precision, drafted ? draft : undefined);
    const [fast, slow] = [await open(true), await open(false)];
    for (const streams of [1, 4]) {
      for (const [kind, temperature] of [
        ['greedy', 0],
        ['sampled', 0.8],
      ] as const) {
        const speedups: number[] = [];
        const costs: number[] = [];
        const before = { ...fast.guesses };
        for (let round = -1; round < rounds; round += 1) {
          const times = new Map<EngineAlone, number>();
          const cpu = new Map<EngineAlone, number>();
          const answers: string[] = [];
          for (const engine of round % 2 === 0 ? [fast, slow] : [slow, fast]) {
            const cpuBefore = process.cpuUsage();
            const completed = await Promise.all(
              Array.from({ length: streams }, (_, i) =>
                engine.complete(passage(4 * round + 4 + i), maxTokens, {
                  cacheSalt: `${kind} ${streams} ${round}`,
                  sampling: { temperature, seed: [round + 1, i] },
                }),
              ),
            );
            const firsts = completed.map(({ tokensAt }) => tokensAt[0]!);
            const lasts = completed.map(({ tokensAt }) => tokensAt.at(-1)!);
            const { user, system } = process.cpuUsage(cpuBefore);
            cpu.set(engine, user + system);
            times.set(engine, Math.max(...lasts) - Math.min(...firsts));
            answers.push(completed.map(({ tokens }) => tokens.join()).join(';'));
          }
          isSame &&= answers[0] === answers[1];
          // The first round is for learning what pays.
          if (round < 0) continue;
          speedups.push(times.get(slow)! / times.get(fast)!);
          costs.push(cpu.get(fast)! / cpu.get(slow)!);
        }
        const all = fast.guesses.all - before.all;
        const right = fast.guesses.right - before.right;
        ratios[`draft ${name}, ${streams} ${kind}`] = median(speedups);
        rows.push({
          pair: name,
          streams,
          kind,
          'with ÷ without': median(speedups),
          range: spread(speedups),
          'processor time': median(costs),
          'its range': spread(costs),
          proposed: all,
          right: all === 0 ? '' : right / all,
        });
      }
    }
    await Promise.all([fast.close(), slow.close()]);
  }
  ratios['same-tokens'] = isSame ? 1 : 0;
  return { name: 'draft', rows, ratios };
}
