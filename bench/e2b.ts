import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { largestMapping, processMemory } from '../test/support/process-usage.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { readStream } from '../test/support/stream-completion.ts';
import { type BenchResult, median, spread } from './result.ts';
import { withE2b } from './support/e2b-checkpoint.ts';

// An existing export of E2B_CHECKPOINT is served: remove <folder>/onnx to time exporting too.

const precision = 'int4';
const slots = 8;
const rounds = 3;
const generated = 33;

const GB = 1e9;
const GiB = 2 ** 30;

/** A random prompt, so that no two share more than their first token. */
function randomPrompt(length: number): number[] {
  return [2, ...Array.from({ length: length - 1 }, () => 400 + Math.floor(Math.random() * 250_000))];
}

/** Exports in a separate process. @returns seconds and peak memory in bytes; null if the export existed */
async function timeExport(checkpoint: string): Promise<{ seconds: number; peak: number } | null> {
  if (existsSync(join(checkpoint, 'onnx', precision, 'manifest.json'))) return null;
  const start = performance.now();
  const cli = join(import.meta.dirname, '../src/cli.ts');
  const child = spawn(process.execPath, [cli, 'export', checkpoint, '--precision', precision], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let peak = 0;
  const watch = setInterval(() => {
    // A process that has just ended has no figures.
    peak = Math.max(peak, processMemory(child.pid!).peak || 0);
  }, 100);
  child.on('exit', () => clearInterval(watch));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`altup export ended with ${code}`);
  return { seconds: (performance.now() - start) / 1000, peak };
}

/** Milliseconds to the first token of a new prompt. */
async function firstToken(service: ServiceProcess, model: string, length: number): Promise<number> {
  const start = performance.now();
  const body = { model, prompt: randomPrompt(length), max_tokens: 1, temperature: 0, ignore_eos: true };
  const response = await service.post('/v1/completions', body);
  if (!response.ok) throw new Error(await response.text());
  await response.text();
  return performance.now() - start;
}

/** Tokens per second of `count` clients together, from the latest first token to the earliest last token. */
async function decodeSpeed(service: ServiceProcess, model: string, count: number): Promise<number> {
  const body = { model, max_tokens: generated, temperature: 0, ignore_eos: true, stream: true };
  const arrivals = await Promise.all(
    Array.from({ length: count }, async () => {
      const times: number[] = [];
      const response = await service.post('/v1/completions', { ...body, prompt: randomPrompt(32) });
      const { isDone } = await readStream(response, () => times.push(performance.now()));
      if (!isDone) throw new Error('a stream failed');
      return times;
    }),
  );
  const begin = Math.max(...arrivals.map((times) => times[0]!));
  const end = Math.min(...arrivals.map((times) => times.at(-1)!));
  const tokens = arrivals.flat().filter((time) => time > begin && time <= end).length;
  return (1000 * tokens) / (end - begin);
}

async function series(measure: () => Promise<number>): Promise<number[]> {
  await measure();
  const found: number[] = [];
  for (let round = 0; round < rounds; round += 1) found.push(await measure());
  return found;
}

async function measure(checkpoint: string): Promise<BenchResult> {
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const add = (what: string, values: number[]) => {
    rows.push({ what, median: median(values), range: spread(values) });
    ratios[what] = median(values);
  };
  const exported = await timeExport(checkpoint);
  if (exported) {
    add('export-s', [exported.seconds]);
    add('export-peak-gib', [exported.peak / GiB]);
  }
  const data = join(checkpoint, 'onnx', precision, 'decoder.onnx.data');
  add('export-gb', [(await stat(data)).size / GB]);

  const model = basename(checkpoint);
  const start = performance.now();
  const service = await ServiceProcess.start({
    ALTUP_MODELS: checkpoint,
    ALTUP_PRECISION: precision,
    ALTUP_SLOTS: String(slots),
    ALTUP_CONTEXT: '2048',
    // Prompts of 1,024 tokens, one after another, take long on a small machine.
    ALTUP_QUEUE_TIMEOUT_MS: '600000',
    ALTUP_REQUEST_TIMEOUT_MS: '600000',
  });
  try {
    add('start-s', [(performance.now() - start) / 1000]);
    add('load-s', [Number((await service.logged('model ready')).loadSeconds)]);
    const memory = (when: string) => {
      const { resident, peak, anonymous } = processMemory(service.pid);
      const table = largestMapping(service.pid, data);
      add(`${when}-resident-gib`, [resident / GiB]);
      add(`${when}-peak-gib`, [peak / GiB]);
      add(`${when}-anonymous-gib`, [anonymous / GiB]);
      add(`${when}-table-gib`, [table.size / GiB]);
      add(`${when}-table-resident-gib`, [table.resident / GiB]);
    };
    memory('loaded');
    add('first-token-128-ms', await series(() => firstToken(service, model, 128)));
    add('first-token-1024-ms', await series(() => firstToken(service, model, 1024)));
    add('tokens-per-s-c1', await series(() => decodeSpeed(service, model, 1)));
    add('tokens-per-s-c8', await series(() => decodeSpeed(service, model, 8)));
    memory('used');
  } finally {
    await service.stop();
  }
  return { name: 'e2b', rows, ratios };
}

/** Exports a model of Gemma 3n E2B's real shape with random weights as int4, serves it and measures it under load. */
export const run = (): Promise<BenchResult> => withE2b(measure);
