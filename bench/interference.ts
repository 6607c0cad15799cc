import type { Precision } from '../src/catalog/manifest.ts';
import { MidSizeGemma3n } from './mid-size-gemma3n.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';
import { numberAsked } from './support/number-asked.ts';

const precisions: readonly Precision[] = ['fp32', 'int8', 'int4'];
const promptLength = 1500;
const streamTokens = 256;
/** The prompt arrives once each stream has so many tokens. */
const tokensBefore = 48;
const answerTokens = 16;

interface Run {
  /** The longest gap of a stream while the prompt is computed, ÷ the median of its gaps before. */
  stretch: number;
  /** Prompt and generated tokens together. */
  tokensPerSecond: number;
  /** The time from the long prompt’s arrival to its first token. */
  firstTokenMs: number;
}

const promptOf = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => 400 + ((7 * i * (seed + 1) + seed) % 20_000));

const gapsOf = (times: readonly number[]) => times.slice(1).map((at, i) => ({ at, ms: at - times[i]! }));

async function measure(engine: EngineAlone, streams: number, round: number): Promise<Run> {
  const started = performance.now();
  const running = Promise.withResolvers<void>();
  let left = streams;
  const count = (tokens: number) => {
    if (tokens === tokensBefore && --left === 0) running.resolve();
  };
  const streaming = Array.from({ length: streams }, (_, i) =>
    engine.complete(promptOf(24, 10 * round + i), streamTokens, { client: `stream ${i}` }, count),
  );
  await running.promise;
  const long = await engine.complete(promptOf(promptLength, 1000 + round), answerTokens, { client: 'long' });
  const all = await Promise.all(streaming);
  const seconds = (performance.now() - started) / 1000;
  const firstTokenAt = long.arrivedAt + long.firstTokenMs;
  const stretches = all.map(({ tokensAt }) => {
    const gaps = gapsOf(tokensAt);
    const before = gaps.filter(({ at }) => at < long.arrivedAt).map(({ ms }) => ms);
    // A step in which the last chunk was computed ends after the prompt's first token.
    const during = gaps.filter(({ at, ms }) => at >= long.arrivedAt && at - ms <= firstTokenAt);
    return Math.max(...during.map(({ ms }) => ms)) / median(before);
  });
  return {
    stretch: Math.max(...stretches),
    tokensPerSecond: (promptLength + answerTokens + streams * streamTokens) / seconds,
    firstTokenMs: long.firstTokenMs,
  };
}

/**
 * Streams of Gemma 3n with 300 M parameters decode when a prompt of 1,500 tokens comes: compares the longest gap of a
 * stream, and the tokens per second of all together, with chunks sized by time and by count.
 */
export async function run(): Promise<BenchResult> {
  const model = await MidSizeGemma3n.write();
  const rounds = numberAsked('rounds', 5);
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const chosen = precisions.filter((precision) => process.argv.includes(`--${precision}`));
  for (const precision of chosen.length > 0 ? chosen : precisions) {
    const open = (stepMs: number) => EngineAlone.open(model.checkpoint, { slots: 5, stepMs }, precision);
    const [byTime, byCount] = [await open(250), await open(0)];
    for (const streams of [1, 4]) {
      const runs = new Map<EngineAlone, Run[]>([byTime, byCount].map((engine) => [engine, []]));
      for (let round = -1; round < rounds; round += 1) {
        // The two alternate in going first, so that the machine's drift affects both equally.
        for (const engine of round % 2 === 0 ? [byTime, byCount] : [byCount, byTime]) {
          const result = await measure(engine, streams, round + 1);
          if (round >= 0) runs.get(engine)!.push(result);
        }
        console.error(`${precision}, ${streams} streams: round ${round + 1} of ${rounds}`);
      }
      const [timed, counted] = [runs.get(byTime)!, runs.get(byCount)!];
      const relative = timed.map((own, i) => own.tokensPerSecond / counted[i]!.tokensPerSecond);
      const stretches = timed.map(({ stretch }) => stretch);
      ratios[`interference-${precision}-${streams}-stretch`] = median(stretches);
      ratios[`interference-${precision}-${streams}-throughput`] = median(relative);
      rows.push({
        precision,
        streams,
        'longest ÷ median gap': median(stretches),
        range: spread(stretches),
        'by count, longest ÷ median gap': median(counted.map(({ stretch }) => stretch)),
        'tokens/s, time ÷ count': median(relative),
        'their range': spread(relative),
        'first token, s': median(timed.map(({ firstTokenMs }) => firstTokenMs)) / 1000,
        'by count, first token, s': median(counted.map(({ firstTokenMs }) => firstTokenMs)) / 1000,
      });
    }
    await Promise.all([byTime.close(), byCount.close()]);
  }
  await model.remove();
  return { name: 'interference', rows, ratios };
}
