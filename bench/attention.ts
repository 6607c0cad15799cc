import type { LoadedAddon } from '../src/runtime/native/native-addon.ts';
import { NativeSession } from '../src/runtime/native/native-session.ts';
import { requireAddon } from './altup-graph.ts';
import { type ExportedModel, exportBaseModel } from './base-model.ts';
import { fastestStep } from './decode-rows.ts';
import { type BenchResult, median, spread } from './result.ts';

interface Case {
  batch: number;
  past: number;
  /** Tokens of the longest prompt that any slot held before; it sets the capacity of the cross-attention cache. */
  longestPrompt: number;
}

const threads = 2;
const slots = 8;
const rounds = 11;
const stepsPerRound = 6;
const promptTokens = 128;
const pasts = [32, 128, 896] as const;
const cases = [promptTokens, 1024].flatMap((longestPrompt) =>
  [1, slots].flatMap((batch) => pasts.map((past): Case => ({ batch, past, longestPrompt }))),
);

/** Milliseconds of a step of each case, in a session opened only for this call. */
async function time({ manifest, folder }: ExportedModel, kernels: boolean, native: LoadedAddon) {
  const options = { folder, slots, maxContext: 1024, threads };
  const session = await NativeSession.open(manifest, options, native, { kernels });
  const tokens = (count: number) => Array.from({ length: count }, (_, i) => 100 + i);
  const longest = Math.max(...pasts);
  const times: number[] = [];
  for (const [i, each] of cases.entries()) {
    if (each.longestPrompt !== cases[i - 1]?.longestPrompt) {
      await session.encode(0, tokens(each.longestPrompt));
      await session.encode(0, tokens(promptTokens));
      if (i === 0) await session.prefill(0, tokens(longest), 0, null);
      for (let slot = 1; slot < slots; slot += 1) session.copySlot(0, slot, longest);
    }
    times.push(await fastestStep(session, { ...each, steps: stepsPerRound }));
  }
  await session.close();
  return times;
}

/**
 * Compares decode steps of the dense T5-Base decoder, whose only `ai.altup` operators are the two kinds of attention.
 * One session runs their kernels, the other their bodies, ONNX Runtime's own attention. Every round opens both anew.
 */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const model = await exportBaseModel({ name: 'dense', width: 768, altup: null });
  const kernels: number[][] = [];
  const bodies: number[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    // The two alternate in going first, so that the machine's drift affects both equally.
    for (const own of round % 2 === 0 ? [kernels, bodies] : [bodies, kernels]) {
      own.push(await time(model, own === kernels, native));
    }
    console.error(`round ${round + 1} of ${rounds}`);
  }
  await model.remove();
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const [i, { batch, past, longestPrompt }] of cases.entries()) {
    const ratio = kernels.map((times, round) => bodies[round]![i]! / times[i]!);
    ratios[`attention-b${batch}-c${past}-p${longestPrompt}`] = median(ratio);
    rows.push({
      batch,
      past,
      'longest prompt': longestPrompt,
      'kernels ms': median(kernels.map((times) => times[i]!)),
      'bodies ms': median(bodies.map((times) => times[i]!)),
      ratio: median(ratio),
      range: spread(ratio),
    });
  }
  return { name: 'attention', rows, ratios };
}
