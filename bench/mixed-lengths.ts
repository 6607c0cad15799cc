import { basename } from 'node:path';
import { ServiceProcess } from '../test/support/service-process.ts';
import { readStream } from '../test/support/stream-completion.ts';
import { memoryMiB, post } from './peers/serving.ts';
import { type BenchResult, median } from './result.ts';
import { withE2b } from './support/e2b-checkpoint.ts';

const longPrompt = 30_000;
const shortPrompt = 500;
const shortRequests = 15;
const generated = 64;
const sampleMs = 500;

interface Stream {
  firstTokenS: number;
  /** Milliseconds from token to token. */
  gaps: number[];
}

async function stream(service: ServiceProcess, model: string, length: number): Promise<Stream> {
  const prompt = [2, ...Array.from({ length: length - 1 }, () => 400 + Math.floor(Math.random() * 250_000))];
  const body = { prompt, max_tokens: generated, stream: true };
  const start = performance.now();
  const response = await post({ url: service.url, model }, body);
  const times: number[] = [];
  const { isDone } = await readStream(response, () => times.push(performance.now()));
  if (!isDone) throw new Error(`a stream failed: ${response.status}`);
  return { firstTokenS: (times[0]! - start) / 1000, gaps: times.slice(1).map((at, n) => at - times[n]!) };
}

async function measure(checkpoint: string): Promise<BenchResult> {
  const model = basename(checkpoint);
  const service = await ServiceProcess.start({
    ALTUP_MODELS: checkpoint,
    ALTUP_PRECISION: 'int4',
    ALTUP_QUEUE_TIMEOUT_MS: '3600000',
    ALTUP_REQUEST_TIMEOUT_MS: '3600000',
  });
  try {
    await service.logged('model ready');
    const loaded = memoryMiB(service.pid);
    let peak = loaded;
    const watch = setInterval(() => {
      peak = Math.max(peak, memoryMiB(service.pid));
    }, sampleMs);
    const longest = stream(service, model, longPrompt);
    const others = Array.from({ length: shortRequests }, () => stream(service, model, shortPrompt));
    const [long, short] = await Promise.all([longest, Promise.all(others)]);
    clearInterval(watch);
    const gaps = short.flatMap((each) => each.gaps);
    const firsts = short.map(({ firstTokenS }) => firstTokenS);
    const ratios = {
      'memory after load, MiB': loaded,
      'peak memory, MiB': peak,
      'memory at the end, MiB': memoryMiB(service.pid),
      'first token of 30,000, s': long.firstTokenS,
      'first token of 500, median s': median(firsts),
      'first token of 500, last s': Math.max(...firsts),
      'gap of 500, median ms': median(gaps),
      'gap of 500, longest ms': Math.max(...gaps),
    };
    const rows = Object.entries(ratios).map(([what, value]) => ({ what, value }));
    return { name: 'mixed-lengths', rows, ratios };
  } finally {
    await service.stop();
  }
}

/** One request of 30,000 tokens next to 15 of 500 on a Gemma 3n of E2B's shape in int4, with default settings. */
export const run = (): Promise<BenchResult> => withE2b(measure);
