import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Manifest } from '../src/catalog/manifest.ts';
import { ensureExport } from '../src/export/export-checkpoint.ts';
import { NativeSession } from '../src/runtime/native/native-session.ts';
import { processMemory } from '../test/support/process-usage.ts';
import { requireAddon } from './altup-graph.ts';
import { decodeRows, greedySamplings } from './decode-rows.ts';
import type { BenchResult } from './result.ts';
import { slope } from './slope.ts';

const checkpoint = join(import.meta.dirname, '../models/austen-t5-altup-k2');
const slots = 4;
const context = 64;
/** Number of samples of each kind of memory, spread evenly over a run. */
const samples = 200;

type Sampled = Record<'resident' | 'anonymous', [count: number, bytes: number][]>;

function counts(): { steps: number; cycles: number } {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '100000' },
      cycles: { type: 'string', default: '1000' },
    },
    strict: false,
  });
  const [steps, cycles] = [Number(values.steps), Number(values.cycles)];
  if (!(steps >= samples && cycles >= samples)) throw new Error(`--steps and --cycles: ${samples} at least`);
  return { steps, cycles };
}

async function repeat(count: number, each: (i: number) => Promise<void>): Promise<Sampled> {
  const found: Sampled = { resident: [], anonymous: [] };
  const every = Math.floor(count / samples);
  for (let i = 1; i <= count; i += 1) {
    await each(i);
    // As the engine does between steps: objects that JavaScript no longer holds are freed in the event loop's turns.
    await setImmediate();
    if (i % every !== 0) continue;
    const memory = processMemory(process.pid);
    found.resident.push([i, memory.resident]);
    found.anonymous.push([i, memory.anonymous]);
  }
  return found;
}

/** Uses a session as a request does: encodes its prompt, then decodes with another position and batch at every step. */
async function step(session: NativeSession, i: number): Promise<void> {
  const past = i % context;
  if (past === 0) {
    const request = i / context;
    const tokens = Array.from({ length: 1 + ((request * 7) % context) }, (_, at) => 100 + at);
    await session.encode(request % slots, tokens);
  }
  const samplings = greedySamplings(session, 1 + (i % slots));
  await session.decode(decodeRows(samplings, 100 + (i % 1000), past));
}

/** Measures this process's memory while one session takes many steps, and while many are opened, used and closed. */
export async function run(): Promise<BenchResult> {
  const addon = requireAddon();
  const { steps, cycles } = counts();
  const { folder, manifest } = await ensureExport(checkpoint, 'fp32');
  const open = () => openFilled(manifest, folder, addon);
  const session = await open();
  const decoding = await repeat(steps, (i) => step(session, i));
  await session.close();
  const opening = await repeat(cycles, async (i) => {
    const opened = await open();
    await step(opened, i);
    await opened.close();
  });
  const result: BenchResult = { name: 'soak', rows: [], ratios: {} };
  for (const [what, sampled, per] of [
    ['decode steps', decoding, 1000],
    ['open and close', opening, 1],
  ] as const) {
    for (const [kind, points] of Object.entries(sampled)) {
      const secondHalf = points.slice(points.length >> 1);
      const perUnit = slope(secondHalf) * per;
      const mebibytes = (at: number) => points.at(at)![1] / 2 ** 20;
      result.rows.push({
        what,
        count: points.at(-1)![0],
        memory: kind,
        'first MiB': mebibytes(0),
        'half-way MiB': mebibytes(points.length >> 1),
        'last MiB': mebibytes(-1),
        slope: perUnit,
        'slope in': per === 1 ? 'bytes a cycle' : `bytes per ${per} steps`,
      });
      result.ratios[`${what.replaceAll(' ', '-')}-${kind}-slope`] = perUnit;
    }
  }
  return result;
}

async function openFilled(
  manifest: Manifest,
  folder: string,
  addon: ReturnType<typeof requireAddon>,
): Promise<NativeSession> {
  const options = { folder, slots, maxContext: context, threads: 1 };
  const session = await NativeSession.open(manifest, options, addon);
  for (let slot = 0; slot < slots; slot += 1) await session.encode(slot, [5, 6, 7]);
  return session;
}
