import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '../src/catalog/tokenizer.ts';
import { randomStream } from '../src/loadtest/random-stream.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { countStream } from './count-stream.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';
import { tokensPerSecond } from './support/tokens-per-second.ts';

const model = 'austen-t5-altup-k2';
const checkpoint = join(import.meta.dirname, '../models', model);
const prompt = 'It was a truth that she had never seen so much of the world as in that long walk';
/** Of a completion; they differ, so that clients come and go one at a time. */
const tokens = { fewest: 64, most: 192 };
const completionsPerClient = 8;
const slots = 16;
/** Before those that count: the compiler of either process has seen little yet. */
const warmUps = 4;
const rounds = 9;
/** Of the engine, on either side: the clients, which share the machine with the service, need the other cores. */
const threads = Math.max(1, availableParallelism() >> 1);

function httpCompletion(service: ServiceProcess): (maxTokens: number) => Promise<void> {
  const body = { model, prompt, temperature: 0, ignore_eos: true, stream: true };
  return (maxTokens) => countStream(`${service.url}/v1/completions`, { ...body, max_tokens: maxTokens });
}

function completionLengths(count: number): number[] {
  const random = randomStream(1, 'output lengths');
  const { fewest, most } = tokens;
  return Array.from({ length: count }, () => Math.floor(fewest + (most - fewest + 1) * random()));
}

/** Streaming over HTTP beside the engine alone, and how late the HTTP thread's event loop runs meanwhile. */
export async function run(): Promise<BenchResult> {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: checkpoint,
    ALTUP_SLOTS: String(slots),
    ALTUP_THREADS: String(threads),
  });
  const engine = await EngineAlone.open(checkpoint, { slots, threads, maxContext: 512 });
  const promptTokens = Tokenizer.load(checkpoint).encode(prompt);
  const engineCompletion = async (maxTokens: number) => void (await engine.complete(promptTokens, maxTokens));
  const result: BenchResult = { name: 'http', rows: [], ratios: {} };
  try {
    for (const concurrency of [1, 16, 64]) {
      const lengths = completionLengths(completionsPerClient * concurrency);
      const overHttp: number[] = [];
      const alone: number[] = [];
      const lagMs: number[] = [];
      for (let round = -warmUps; round < rounds; round += 1) {
        await service.metric('up'); // Each scrape starts the lag's statistics anew.
        const http = await tokensPerSecond(concurrency, lengths, httpCompletion(service));
        const lag = 1000 * (await service.metric('nodejs_eventloop_lag_p99_seconds'));
        const direct = await tokensPerSecond(concurrency, lengths, engineCompletion);
        if (round < 0) continue;
        overHttp.push(http);
        lagMs.push(lag);
        alone.push(direct);
      }
      const ratios = overHttp.map((value, i) => value / alone[i]!);
      result.rows.push({
        concurrency,
        'tokens/s over HTTP': median(overHttp),
        'tokens/s engine alone': median(alone),
        ratio: median(ratios),
        'ratio spread': spread(ratios),
        'event-loop lag p99, ms': median(lagMs),
        'its worst round': Math.max(...lagMs),
      });
      result.ratios[`stream-c${concurrency}`] = median(ratios);
    }
    return result;
  } finally {
    await service.stop();
    await engine.close();
  }
}
