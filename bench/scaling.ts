import { setTimeout } from 'node:timers/promises';
import { seededRandom } from '../test/support/seeded-random.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { countStream } from './count-stream.ts';
import type { BenchResult } from './result.ts';
import { numberAsked } from './support/number-asked.ts';
import { poissonArrivals } from './support/queueing/poisson-arrivals.ts';
import { type ServiceCurve, serviceCurve } from './support/queueing/service-curve.ts';
import { simulate } from './support/queueing/simulate.ts';
import type { Arrival } from './support/queueing/simulated-instance.ts';

const slots = 8;
const settings = {
  ALTUP_MODELS: 'models/austen-t5-altup-k4',
  ALTUP_SLOTS: String(slots),
  ALTUP_THREADS: '1',
  ALTUP_LOG_LEVEL: 'info',
};
const tokensOf = (random: { next(): number }) => 64 + Math.floor(128 * random.next());
/** Longest acceptable wait for a slot, which at most one request in twenty may exceed. */
const longestWaitMs = 1000;

const ask = (url: string, tokens: number) =>
  countStream(`${url}/v1/completions`, {
    prompt: 'Elizabeth was not long in the drawing-room before',
    max_tokens: tokens,
    ignore_eos: true,
    stream: true,
  });

/** Tokens per second of one instance while every instance has `sequences` in progress. */
async function tokensPerSecond(urls: readonly string[], sequences: number, seconds: number): Promise<number> {
  const endsAt = performance.now() + 1000 * seconds;
  let tokens = 0;
  const client = async (url: string, seed: number) => {
    const random = seededRandom(seed);
    for (;;) {
      const count = tokensOf(random);
      await ask(url, count);
      if (performance.now() > endsAt) return;
      tokens += count;
    }
  };
  await Promise.all(
    urls.flatMap((url, at) => Array.from({ length: sequences }, (_, i) => client(url, sequences * at + i))),
  );
  return tokens / seconds / urls.length;
}

/** Milliseconds from each request's scheduled arrival to the end of its answer. Instances take turns. */
async function measure(urls: readonly string[], arrivals: readonly Arrival[]): Promise<number[]> {
  const beginning = performance.now();
  return Promise.all(
    arrivals.map(async ({ atMs, tokens }, i) => {
      await setTimeout(atMs);
      await ask(urls[i % urls.length]!, tokens);
      return performance.now() - beginning - atMs;
    }),
  );
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The highest share of capacity at which at most one request in twenty waits longer than `longestWaitMs`. */
function usableShare(instances: number, curve: ServiceCurve, capacity: number) {
  let best = { share: 0, waiting: 0 };
  for (let share = 0.3; share < 1; share += 0.02) {
    const random = seededRandom(11);
    const arrivals = poissonArrivals(random, share * capacity * instances, 1200 / instances, () =>
      tokensOf(random),
    );
    const { served, waiting } = simulate({ instances, slots, curve, arrivals, routing: 'shortest' });
    if (
      quantile(
        served.map(({ waitMs }) => waitMs),
        0.95,
      ) > longestWaitMs
    )
      break;
    best = { share, waiting: mean(waiting) / instances };
  }
  return best;
}

/**
 * Compares two instances at known loads with the queueing simulation, which uses the service curve measured
 * just before; then simulates more instances.
 */
export async function run(): Promise<BenchResult> {
  const seconds = numberAsked('seconds', 60);
  const services = await Promise.all([ServiceProcess.start(settings), ServiceProcess.start(settings)]);
  const urls = services.map(({ url }) => url);
  try {
    await tokensPerSecond(urls, slots, 5); // warm-up
    const measured: { sequences: number; tokensPerSecond: number }[] = [];
    for (const sequences of [1, 2, 4, slots]) {
      measured.push({ sequences, tokensPerSecond: await tokensPerSecond(urls, sequences, seconds / 5) });
    }
    const curve = serviceCurve(measured);
    const meanTokens = mean(Array.from({ length: 1000 }, (_, i) => tokensOf(seededRandom(i))));
    const capacity = measured.at(-1)!.tokensPerSecond / meanTokens;

    const rows: BenchResult['rows'] = measured.map((each) => ({
      what: `tokens/s of one instance, ${each.sequences} in progress`,
      measured: Math.round(each.tokensPerSecond),
    }));
    const ratios: Record<string, number> = {};
    for (const load of [0.4, 0.6, 0.8]) {
      const random = seededRandom(7);
      const arrivals = poissonArrivals(random, load * 2 * capacity, seconds, () => tokensOf(random));
      const totals = await measure(urls, arrivals);
      const simulated = simulate({ instances: 2, slots, curve, arrivals, routing: 'turns' }).served.map(
        ({ totalMs }) => totalMs,
      );
      const compare = (what: string, figure: (values: readonly number[]) => number) => {
        const ratio = figure(simulated) / figure(totals);
        ratios[`${what}-at-${load}`] = ratio;
        rows.push({
          what: `${what} of a request at ${100 * load} % load, ms (${arrivals.length} requests)`,
          measured: Math.round(figure(totals)),
          simulated: Math.round(figure(simulated)),
          'error, %': Math.round(100 * (ratio - 1)),
        });
      };
      compare('mean', mean);
      compare('median', (values) => quantile(values, 0.5));
      compare('p95', (values) => quantile(values, 0.95));
    }
    for (const instances of [1, 2, 4, 8, 16]) {
      const { share, waiting } = usableShare(instances, curve, capacity);
      rows.push({
        what: `usable share of ${instances} instances' capacity, % (waiting for each)`,
        simulated: `${Math.round(100 * share)} (${waiting.toFixed(2)})`,
      });
    }
    return { name: 'scaling', rows, ratios };
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
}
