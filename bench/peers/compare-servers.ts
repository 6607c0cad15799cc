import { globSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { ServiceProcess } from '../../test/support/service-process.ts';
import { type BenchResult, median, spread } from '../result.ts';
import { timeReading } from '../support/native-timing.ts';
import { numberAsked } from '../support/number-asked.ts';
import { weightsPerToken } from '../support/weights-per-token.ts';
import { type Capacity, type Figures, type Load, measure, type Server } from './serving.ts';

/** The same weights in our precision and in the format of a peer that is close to it. */
export interface Pair {
  precision: Precision;
  format: string;
  /** Makes the peer's file of weights if it does not exist. */
  file: () => Promise<string>;
}

export interface Comparison {
  peer: string;
  model: string;
  checkpoint: string;
  pairs: readonly Pair[];
  start: (file: string, capacity: Capacity) => Promise<Server>;
}

const loads: readonly Load[] = [
  { slots: 16, context: 2048, prompts: [128, 512, 1500], streams: [1, 4, 8, 16], behind: [0] },
  { slots: 8, context: 12_000, prompts: [], streams: [1, 4], behind: [2000, 8000] },
];
const longest: Load = { slots: 1, context: 31_000, prompts: [], streams: [1], behind: [30_000] };
const quick: readonly Load[] = [
  { slots: 16, context: 2048, prompts: [512, 1500], streams: [1, 8], behind: [0] },
  { slots: 8, context: 12_000, prompts: [], streams: [1, 4], behind: [8000] },
];

/** The figure of a single stream without a long prompt. */
const oneStream = 'streams: 1, behind 0, tokens/s';

/** Whether `--name` is on the command line. */
const isAsked = (name: string) => process.argv.includes(`--${name}`);

/** A server that is started again for each load of each round. */
interface Side {
  name: string;
  /** The file or folder of its weights. */
  weights: string;
  start: (capacity: Capacity) => Promise<Server>;
  rounds: Figures[];
}

/** Starts one server at a time, ours and the peer's in turns, and adds the figures of all rounds to the result. */
export async function compareServers(comparison: Comparison, result: BenchResult): Promise<void> {
  const { peer, model, checkpoint, pairs, start } = comparison;
  const rounds = numberAsked('rounds', isAsked('quick') ? 1 : 5);
  const all = [...(isAsked('quick') ? quick : loads), ...(isAsked('long') ? [longest] : [])];
  const plan = isAsked('short') ? all.filter(({ behind }) => behind.includes(0)) : all;
  const threads = numberAsked('threads', availableParallelism());
  let vocabulary = 0;
  const sides: { pair: Pair; ours: Side; theirs: Side; stepBytes: number }[] = [];
  const isLimited = pairs.some(({ precision }) => isAsked(precision));
  for (const pair of pairs) {
    const { precision } = pair;
    if (isLimited && !isAsked(precision)) continue;
    const { folder, manifest } = await ensureExport(checkpoint, precision);
    const file = await pair.file();
    vocabulary = manifest.vocabSize;
    const startOurs = (capacity: Capacity) => startService(checkpoint, precision, capacity);
    const ours = { name: precision, weights: folder, start: startOurs, rounds: [] };
    const startTheirs = (capacity: Capacity) => start(file, capacity);
    const theirs = { name: `${peer} ${pair.format}`, weights: file, start: startTheirs, rounds: [] };
    const stepBytes = await weightsPerToken(join(folder, manifest.graphs.decoder));
    sides.push({ pair, ours, theirs, stepBytes });
  }
  const bandwidths: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    bandwidths.push(timeReading(2 ** 29, threads, 5));
    for (const { ours, theirs } of sides) {
      console.error(`${model}, round ${round + 1} of ${rounds}`);
      for (const side of [ours, theirs]) side.rounds.push({ 'on disk, MiB': sizeMiB(side.weights) });
      // They take turns in going first, so that the machine's drift affects both equally.
      const turns = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
      for (const load of plan)
        for (const { name, start, rounds } of turns) {
          const figures = await measure(() => start({ ...load, threads }), load, vocabulary, round);
          console.error(name, figures);
          Object.assign(rounds[round]!, figures);
        }
    }
  }
  for (const { pair, ours, theirs, stepBytes } of sides) {
    addRows(comparison, pair, ours.rounds, theirs.rounds, result);
    const shares = ours.rounds.map(
      (figures, round) => (figures[oneStream]! * stepBytes) / bandwidths[round]!,
    );
    result.rows.push({
      model,
      weights: pair.precision,
      what: 'one stream: share of the speed at which memory is read',
      ours: median(shares),
      'ours, range': spread(shares),
    });
  }
}

function addRows(
  { peer, model }: Comparison,
  { precision, format }: Pair,
  ours: readonly Figures[],
  theirs: readonly Figures[],
  result: BenchResult,
): void {
  for (const what of Object.keys(ours[0]!)) {
    const ourValues = ours.map((figures) => figures[what]!);
    const theirValues = theirs.map((figures) => figures[what]!);
    const ratios = ourValues.map((value, round) => value / theirValues[round]!);
    result.rows.push({
      model,
      weights: `${precision}, ${format}`,
      what,
      ours: median(ourValues),
      'ours, range': spread(ourValues),
      [peer]: median(theirValues),
      [`${peer}, range`]: spread(theirValues),
      ratio: median(ratios),
      'ratio, range': spread(ratios),
    });
    result.ratios[`${peer}-${model}-${precision}: ${what}`] = median(ratios);
  }
}

/** MiB of a file, or of a folder's files. */
function sizeMiB(path: string): number {
  const files = statSync(path).isDirectory()
    ? globSync('*', { cwd: path }).map((name) => join(path, name))
    : [path];
  return files.reduce((sum, file) => sum + statSync(file).size, 0) / 2 ** 20;
}

async function startService(
  checkpoint: string,
  precision: Precision,
  { slots, context, threads }: Capacity,
): Promise<Server> {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: checkpoint,
    ALTUP_PRECISION: precision,
    ALTUP_SLOTS: String(slots),
    ALTUP_CONTEXT: String(context),
    ALTUP_THREADS: String(threads),
    // Random tokens soon repeat themselves, which is easy to guess.
    ALTUP_PROMPT_LOOKUP: 'false',
    ALTUP_CACHE_PRECISION: isAsked('int8-cache') ? 'int8' : 'export',
    // Long prompts wait for each other, on slow machines for more than a minute.
    ALTUP_QUEUE_TIMEOUT_MS: '3600000',
    ALTUP_REQUEST_TIMEOUT_MS: '3600000',
    ALTUP_MAX_QUEUED_TOKENS: '1000000',
    ALTUP_CLIENT_QUEUE_SHARE: '100',
  });
  await service.logged('model ready');
  const stop = async () => void (await service.stop());
  return { url: service.url, pid: service.pid, model: basename(checkpoint), stop };
}
