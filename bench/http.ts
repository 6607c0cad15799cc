import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import { randomStream } from '../src/loadtest/load/random-stream.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { countStream } from './count-stream.ts';
import { MidSizeGemma3n } from './mid-size-gemma3n.ts';
import { type BenchResult, median, spread } from './result.ts';
import { EngineAlone } from './support/engine-alone.ts';
import { tokensPerSecond } from './support/tokens-per-second.ts';

const prompt = 'It was a truth that she had never seen so much of the world as in that long walk';
const slots = 16;
/** Engine threads on either side. The clients share the machine with the service and need the other cores. */
const threads = Math.max(1, availableParallelism() >> 1);

interface Load {
  name: string;
  /** The result has its figures under `<ratio>-c<concurrency>`. */
  ratio: string;
  checkpoint: string;
  concurrency: number;
  /** Minimum and maximum of a completion. Lengths differ, so that clients come and go one at a time. */
  tokens: readonly [number, number];
  completionsPerClient: number;
  /** Rounds that do not count, in which the JIT compilers of both processes warm up. */
  warmUps: number;
  rounds: number;
}

function completionLengths({ tokens: [fewest, most], completionsPerClient, concurrency }: Load): number[] {
  const random = randomStream(1, 'output lengths');
  const length = () => Math.floor(fewest + (most - fewest + 1) * random());
  return Array.from({ length: completionsPerClient * concurrency }, length);
}

async function measure(load: Load, service: ServiceProcess, engine: EngineAlone, result: BenchResult) {
  const { name, ratio, checkpoint, concurrency, warmUps, rounds } = load;
  const promptTokens = Tokenizer.load(checkpoint).encode(prompt);
  const lengths = completionLengths(load);
  const body = { model: basename(checkpoint), prompt, temperature: 0, ignore_eos: true, stream: true };
  const overHttp: number[] = [];
  const alone: number[] = [];
  const lagMs: number[] = [];
  const overService = async (isCounted: boolean) => {
    await service.metric('up'); // Each scrape resets the lag's statistics.
    const speed = await tokensPerSecond(concurrency, lengths, (tokens) =>
      countStream(`${service.url}/v1/completions`, { ...body, max_tokens: tokens }),
    );
    const lag = 1000 * (await service.metric('nodejs_eventloop_lag_p99_seconds'));
    if (!isCounted) return;
    overHttp.push(speed);
    lagMs.push(lag);
  };
  const engineAlone = async (isCounted: boolean) => {
    const complete = async (tokens: number) => void (await engine.complete(promptTokens, tokens));
    const speed = await tokensPerSecond(concurrency, lengths, complete);
    if (isCounted) alone.push(speed);
  };
  for (let round = -warmUps; round < rounds; round += 1) {
    // The two alternate in going first, so that the machine's drift affects both equally.
    const turns = round % 2 === 0 ? [overService, engineAlone] : [engineAlone, overService];
    for (const turn of turns) await turn(round >= 0);
  }
  const ratios = overHttp.map((value, i) => value / alone[i]!);
  result.rows.push({
    model: name,
    concurrency,
    'tokens/s over HTTP': median(overHttp),
    'tokens/s engine alone': median(alone),
    ratio: median(ratios),
    'ratio spread': spread(ratios),
    'event-loop lag p99, ms': median(lagMs),
    'its worst round': Math.max(...lagMs),
  });
  result.ratios[`${ratio}-c${concurrency}`] = median(ratios);
}

async function compare(checkpoint: string, loads: readonly Load[], result: BenchResult): Promise<void> {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: checkpoint,
    ALTUP_SLOTS: String(slots),
    ALTUP_THREADS: String(threads),
    ALTUP_CONTEXT: '512',
  });
  const engine = await EngineAlone.open(checkpoint, { slots, threads, maxContext: 512 });
  try {
    for (const load of loads) await measure(load, service, engine, result);
  } finally {
    await service.stop();
    await engine.close();
  }
}

/**
 * Compares streaming over HTTP with the engine alone, and measures the HTTP thread's event-loop lag. One model has
 * a realistic size; the other is a shipped one with steps so short that HTTP keeps a core as busy as the model does.
 */
export async function run(): Promise<BenchResult> {
  const result: BenchResult = { name: 'http', rows: [], ratios: {} };
  const midSize = await MidSizeGemma3n.write();
  try {
    const { checkpoint } = midSize;
    const name = 'gemma3n-300m';
    const large = {
      name,
      ratio: `stream-${name}`,
      checkpoint,
      tokens: [8, 24],
      warmUps: 1,
      rounds: 15,
    } as const;
    await compare(checkpoint, [{ ...large, concurrency: 16, completionsPerClient: 2 }], result);
  } finally {
    await midSize.remove();
  }
  const name = 'austen-t5-altup-k2';
  const checkpoint = join(import.meta.dirname, '../models', name);
  const small = {
    name,
    ratio: 'stream',
    checkpoint,
    tokens: [64, 192],
    warmUps: 4,
  } as const;
  // Rounds differ by a fifth either way, so only the median of many counts.
  const loads = [
    { ...small, concurrency: 1, completionsPerClient: 8, rounds: 15 },
    { ...small, concurrency: 16, completionsPerClient: 8, rounds: 25 },
    { ...small, concurrency: 64, completionsPerClient: 3, rounds: 25 },
  ];
  await compare(checkpoint, loads, result);
  return result;
}
