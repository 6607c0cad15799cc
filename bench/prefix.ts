import { rm } from 'node:fs/promises';
import { seededRandom } from '../test/support/seeded-random.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';
import { writeRandomGemma3 } from './support/random-gemma3.ts';

const requests = 32;
const systemTokens = 1000;
const ownTokens = 24;
const maxTokens = 16;
const rounds = 3;

const random = seededRandom(2);
const randomTokens = (length: number) => Array.from({ length }, () => 4 + random.below(2000));

/**
 * Sends requests together that begin with the same system prompt. They share it, or a salt for each prevents that.
 * Compares the time to their first token, and whether their tokens are the same.
 */
export async function run(): Promise<BenchResult> {
  const folder = await writeRandomGemma3();
  const engine = await EngineAlone.open(folder, { slots: requests });
  try {
    const rows: BenchResult['rows'] = [];
    const speedups: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const system = randomTokens(systemTokens);
      const prompts = Array.from({ length: requests }, () => [...system, ...randomTokens(ownTokens)]);
      const ask = (saltOf: (index: number) => string) =>
        Promise.all(
          prompts.map((prompt, i) =>
            engine.complete(prompt, maxTokens, { cacheSalt: `${round} ${saltOf(i)}` }),
          ),
        );
      const apart = await ask((index) => `${index}`);
      const together = await ask(() => 'shared');
      const [without, shared] = [apart, together].map((answers) =>
        median(answers.map((each) => each.firstTokenMs)),
      );
      const isSame = apart.every(({ tokens }, i) => tokens.join() === together[i]!.tokens.join());
      speedups.push(without! / shared!);
      rows.push({
        round,
        'first token without, ms': without!,
        'first token shared, ms': shared!,
        speedup: without! / shared!,
        'tokens taken over': together.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
        'same tokens': String(isSame),
      });
    }
    const same = rows.filter((row) => row['same tokens'] === 'true').length / rows.length;
    rows.push({ round: 'spread', speedup: spread(speedups) });
    return { name: 'prefix', rows, ratios: { 'first-token': median(speedups), 'same-tokens': same } };
  } finally {
    await engine.close();
    await rm(folder, { recursive: true });
  }
}
