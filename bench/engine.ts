import { join } from 'node:path';
import { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';
import { tokensPerSecond } from './support/tokens-per-second.ts';

const checkpoint = join(import.meta.dirname, '../models/austen-t5-altup-k2');
const prompt = 'It was a truth that she had never seen so much of the world as in that long walk';
const maxTokens = 128;
const rounds = 5;

/** Measures batching: tokens per second by concurrency, and the time of a step outside of the session. */
export async function run(): Promise<BenchResult> {
  const engine = await EngineAlone.open(checkpoint, { slots: 32, maxContext: 512 });
  const result: BenchResult = { name: 'engine', rows: [], ratios: {} };
  try {
    const promptTokens = Tokenizer.load(checkpoint).encode(prompt);
    const complete = async () => void (await engine.complete(promptTokens, maxTokens));
    let alone = Number.NaN;
    for (const concurrency of [1, 2, 4, 8, 16, 32]) {
      const speeds: number[] = [];
      const overheads: number[] = [];
      for (let round = 0; round <= rounds; round += 1) {
        engine.steps.length = 0;
        const speed = await tokensPerSecond(concurrency, Array(4 * concurrency).fill(maxTokens), complete);
        if (round === 0) continue; // warm-up
        const wallMs = (concurrency * 4 * maxTokens * 1000) / speed;
        const inSession = engine.steps.reduce(
          (sum, step) => sum + (step.prefillMs ?? 0) + (step.decodeMs ?? 0),
          0,
        );
        speeds.push(speed);
        overheads.push((1000 * (wallMs - inSession)) / engine.steps.length);
      }
      if (concurrency === 1) alone = median(speeds);
      result.rows.push({
        concurrency,
        'tokens/s': median(speeds),
        range: spread(speeds),
        'outside of the session, µs a step': median(overheads),
      });
      if (concurrency > 1) result.ratios[`throughput-c${concurrency}`] = median(speeds) / alone;
      result.ratios[`step-overhead-us-c${concurrency}`] = median(overheads);
    }
    return result;
  } finally {
    await engine.close();
  }
}
