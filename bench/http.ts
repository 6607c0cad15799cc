import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '../src/catalog/tokenizer.ts';
import { Admission } from '../src/engine/admission.ts';
import { sharedClock } from '../src/engine/clock.ts';
import type { EngineClient } from '../src/engine/engine-client.ts';
import { startEngine } from '../src/engine/start-worker.ts';
import { ensureExport } from '../src/export/export-checkpoint.ts';
import { chooseRuntime } from '../src/runtime/choose-runtime.ts';
import { generationRequest } from '../test/support/generation-request.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { countStream } from './count-stream.ts';
import { type BenchResult, median, spread } from './result.ts';

const model = 'austen-t5-altup-k2';
const checkpoint = join(import.meta.dirname, '../models', model);
const prompt = 'It was a truth that she had never seen so much of the world as in that long walk';
const maxTokens = 128;
const slots = 16;
const rounds = 5;
/** Of the engine, on either side: the clients, which share the machine with the service, need the other cores. */
const threads = Math.max(1, availableParallelism() >> 1);

/** Runs `concurrency` clients that each ask for four completions, one after another. @returns tokens per second */
async function throughput(concurrency: number, complete: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let i = 0; i < 4; i += 1) await complete();
    }),
  );
  return (concurrency * 4 * maxTokens * 1000) / (performance.now() - startedAt);
}

function httpCompletion(service: ServiceProcess): () => Promise<void> {
  const body = { model, prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true, stream: true };
  return () => countStream(`${service.url}/v1/completions`, body);
}

/** The same work asked of the engine directly. */
function engineCompletion(engine: EngineClient): () => Promise<void> {
  const promptTokens = Tokenizer.load(checkpoint).encode(prompt);
  let count = 0;
  return async () => {
    count += 1;
    const request = generationRequest({
      id: `bench-${count}`,
      model,
      promptTokens,
      maxTokens,
      arrivedAt: sharedClock(),
      stop: { ignoreEos: true },
    });
    for await (const event of engine.generate([request], new AbortController().signal)) {
      if (event.type === 'failed') throw new Error(event.message);
    }
  };
}

async function openEngine(): Promise<EngineClient> {
  const { folder } = await ensureExport(checkpoint, 'fp32');
  const { runtime } = await chooseRuntime({
    backend: 'auto',
    executionProvider: 'auto',
    precisions: ['fp32'],
  });
  const ignore = () => {};
  const engine = startEngine(
    {
      models: [{ name: model, checkpoint, folder }],
      options: { runtime, threads, slots, maxContext: 512, stepTokens: 512, prefillChunk: 256 },
    },
    {
      admission: new Admission({ maxQueuedRequests: 1000, maxQueuedTokens: 1_000_000 }, sharedClock),
      observer: {
        admitted: ignore,
        rejected: ignore,
        started: ignore,
        token: ignore,
        restarted: ignore,
        stepped: ignore,
        ended: ignore,
      },
      clock: sharedClock,
      onModelState: ignore,
      onFault: (_, detail) => {
        throw new Error(detail);
      },
    },
  );
  await engine.whenLoaded();
  return engine;
}

/** Streaming over HTTP beside the engine alone, and how late the HTTP thread's event loop runs meanwhile. */
export async function run(): Promise<BenchResult> {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: checkpoint,
    ALTUP_SLOTS: String(slots),
    ALTUP_THREADS: String(threads),
  });
  const engine = await openEngine();
  const result: BenchResult = { name: 'http', rows: [], ratios: {} };
  try {
    for (const concurrency of [1, 16, 64]) {
      const overHttp: number[] = [];
      const alone: number[] = [];
      const lagMs: number[] = [];
      for (let round = 0; round <= rounds; round += 1) {
        await service.metric('up'); // Each scrape starts the lag's statistics anew.
        const http = await throughput(concurrency, httpCompletion(service));
        const lag = 1000 * (await service.metric('nodejs_eventloop_lag_p99_seconds'));
        const direct = await throughput(concurrency, engineCompletion(engine));
        if (round === 0) continue; // warm-up
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
    await engine.drain(0);
  }
}
