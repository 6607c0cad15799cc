import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { goodModels } from '../test/support/hostile/attack.ts';
import { Attacker } from '../test/support/hostile/attacker.ts';
import { attacks } from '../test/support/hostile/attacks.ts';
import { writeHostileCheckpoints } from '../test/support/hostile/checkpoint-attacks.ts';
import {
  askStream,
  askWhole,
  type KnownCompletion,
  learnCompletions,
  type Post,
} from '../test/support/known-completions.ts';
import {
  type ProcessMemory,
  processMemory,
  type ServiceUsage,
  serviceUsage,
} from '../test/support/process-usage.ts';
import { seededRandom } from '../test/support/seeded-random.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { type BenchResult, median } from './result.ts';
import { lineCharts } from './support/line-charts.ts';
import { describeMachine } from './support/machine.ts';
import { numberAsked } from './support/number-asked.ts';

const plotFile = join(import.meta.dirname, '../docs/soak.svg');
const models = ['austen-t5-dense', 'austen-t5-altup-k2', 'austen-t5-recycled-k2'];
const clients = 6;
/** Each makes one attack after another. */
const attackers = 2;
const keys = { client: 'key-of-the-clients', attacker: 'key-of-the-attackers' };
const sampleSeconds = 5;
/** Share of the run at its beginning in which caches fill and code is compiled. */
const warmUpShare = 0.1;

interface Observed {
  metrics: Awaited<ReturnType<ServiceProcess['metrics']>>;
  memory: ProcessMemory;
  usage: ServiceUsage;
}

const sampled = {
  'resident memory, MiB': ({ metrics }) => metrics.sum('process_resident_memory_bytes') / 2 ** 20,
  'memory of its own, MiB': ({ memory }) => memory.anonymous / 2 ** 20,
  'JavaScript heap in use, MiB': ({ metrics }) => metrics.sum('nodejs_heap_size_used_bytes') / 2 ** 20,
  'open file descriptors': ({ usage }) => usage.own.descriptors,
  threads: ({ usage }) => usage.own.threads,
  'processes it started': ({ usage }) => usage.helpers.processes,
  'resident memory of those, MiB': ({ usage }) => usage.helpers.resident / 2 ** 20,
  'active handles': ({ metrics }) => metrics.sum('nodejs_active_handles_total'),
  'event-loop lag p99, ms': ({ metrics }) => metrics.sum('nodejs_eventloop_lag_p99_seconds') * 1000,
} satisfies Record<string, (now: Observed) => number>;
type Name = keyof typeof sampled;
type Samples = Record<Name, [minutes: number, value: number][]>;

/** One client: sends every kind of request in a random order, with pauses. @returns counts of the outcomes */
async function client(
  post: Post,
  known: readonly KnownCompletion[],
  seed: number,
  endsAt: number,
): Promise<Map<string, number>> {
  const random = seededRandom(seed);
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  while (performance.now() < endsAt) {
    const wanted = known[random.below(known.length)]!;
    const dice = random.next();
    if (dice < 0.4) count(`stream ${(await askStream(post, wanted)).kind}`);
    else if (dice < 0.65) count(`stream ${(await askStream(post, wanted, () => random.next() < 0.1)).kind}`);
    else if (dice < 0.85) count(`whole ${(await askWhole(post, wanted)).kind}`);
    else if (dice < 0.9) count(`three prompts ${(await askWhole(post, wanted, 3)).kind}`);
    else if (dice < 0.95)
      count(`bad ${(await post('/v1/completions', { ...wanted.body, temperature: 9 })).status}`);
    else
      count(
        `tokenize ${(await post('/tokenize', { model: wanted.body.model, prompt: wanted.body.prompt })).status}`,
      );
    await setTimeout(random.below(400));
  }
  return counts;
}

/** One attacker: makes every attack in a random order, with pauses. @returns counts of the outcomes */
async function attack(url: string, seed: number, endsAt: number): Promise<Map<string, number>> {
  const random = seededRandom(seed);
  const counts = new Map<string, number>();
  while (performance.now() < endsAt) {
    const { name, outcomes, withinMs, strike } = attacks[random.below(attacks.length)]!;
    const attacker = new Attacker(url, keys.attacker, withinMs);
    for (const outcome of [await strike(attacker)].flat()) {
      const what = outcomes.includes(outcome) ? `${name}: ${outcome}` : `UNEXPECTED ${name}: ${outcome}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
    await setTimeout(random.below(2000));
  }
  return counts;
}

async function sample(service: ServiceProcess, endsAt: number): Promise<Samples> {
  const startedAt = performance.now();
  const samples = Object.fromEntries(Object.keys(sampled).map((name) => [name, []])) as unknown as Samples;
  while (performance.now() < endsAt) {
    await setTimeout(sampleSeconds * 1000);
    const now = {
      metrics: await service.metrics(),
      memory: processMemory(service.pid),
      usage: serviceUsage(service.pid),
    };
    const minutes = (performance.now() - startedAt) / 60_000;
    for (const [name, observe] of Object.entries(sampled))
      samples[name as Name].push([minutes, observe(now)]);
  }
  return samples;
}

/** A half of a run after its warm-up. The lowest value shows what remains after garbage collection. */
interface Half {
  middle: number;
  lowest: number;
}

function halves(points: readonly (readonly [number, number])[]): [Half, Half] {
  const values = points.slice(Math.floor(points.length * warmUpShare)).map(([, value]) => value);
  const at = values.length >> 1;
  const half = (part: number[]): Half => ({ middle: median(part), lowest: Math.min(...part) });
  return [half(values.slice(0, at)), half(values.slice(at))];
}

/**
 * Puts a service under mixed load for `--minutes`, including clients that leave and attackers; draws
 * docs/soak.svg.
 */
export async function run(): Promise<BenchResult> {
  const minutes = numberAsked('minutes', 60);
  const hostileFolder = await mkdtemp(join(tmpdir(), 'altup-soak-'));
  await writeHostileCheckpoints(hostileFolder);
  const folders = [...models, goodModels.decoder].map((model) => `models/${model}`);
  const service = await ServiceProcess.start({
    ALTUP_MODELS: [...folders, hostileFolder].join(),
    ALTUP_SLOTS: '8',
    ALTUP_API_KEYS: Object.values(keys).join(),
  });
  const result: BenchResult = { name: 'soak-service', rows: [], ratios: { minutes } };
  try {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${keys.client}` };
    const post: Post = (path, body, init) => service.post(path, body, { headers, ...init });
    const known = await learnCompletions(post, models, 60);
    const endsAt = performance.now() + minutes * 60_000;
    const load = Promise.all([
      ...Array.from({ length: clients }, (_, i) => client(post, known, 100 + i, endsAt)),
      ...Array.from({ length: attackers }, (_, i) => attack(service.url, 200 + i, endsAt)),
    ]);
    const [samples, counts] = await Promise.all([sample(service, endsAt), load]);
    await service.metricReaches(0, 'altup_requests_running{');

    for (const [name, points] of Object.entries(samples)) {
      const [first, second] = halves(points);
      const key = name.replace(/,.*/, '').replaceAll(' ', '-').toLowerCase();
      for (const kind of ['middle', 'lowest'] as const) {
        const ratio = second[kind] / first[kind];
        result.rows.push({
          what: `${name}: ${kind}`,
          'first half': first[kind],
          'second half': second[kind],
          ratio,
        });
        result.ratios[kind === 'middle' ? key : `${key}-${kind}`] = ratio;
      }
    }
    for (const name of new Set(counts.flatMap((each) => [...each.keys()]))) {
      const total = counts.reduce((sum, each) => sum + (each.get(name) ?? 0), 0);
      result.rows.push({ what: name, 'first half': '', 'second half': '', ratio: '', count: total });
    }
    const { cpu, threads } = describeMachine();
    const heading = `${minutes} minutes: ${clients} clients of all kinds, ${attackers} attackers of all kinds; ${cpu}, ${threads} threads`;
    const charts = Object.entries(samples).map(([title, points]) => ({ title, points }));
    await writeFile(plotFile, lineCharts(heading, charts));
    return result;
  } finally {
    await service.stop();
    await rm(hostileFolder, { recursive: true, force: true });
  }
}
