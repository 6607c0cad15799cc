import type { LoadedAddon } from '../src/runtime/native/native-addon.ts';
import { NativeSession } from '../src/runtime/native/native-session.ts';
import { nodeTimes, requireAddon } from './altup-graph.ts';
import {
  type BaseVariant,
  bytesPerStep,
  cacheBytesPerStep,
  type ExportedModel,
  exportBaseModel,
} from './base-model.ts';
import { fastestStep } from './decode-rows.ts';
import { type BenchResult, median, spread } from './result.ts';

const alternating = (num_blocks: number) => ({
  num_blocks,
  selection: 'alternating' as const,
  recycled: false,
});
/** Experts as small as the paper's, with hidden width 16. */
const moe = { num_experts: 128, expert_d_ff: 16, top_k: 1 };
const dense: BaseVariant = { name: 'dense', width: 768, altup: null };
/** The first variant of each group is the one that the others are relative to. */
const groups: { rounds: number; variants: BaseVariant[] }[] = [
  {
    // Depending on the memory it gets, a model can be a fifth slower: medians of 31 still differed by 1 % between runs.
    rounds: 61,
    variants: [
      dense,
      { name: 'recycled', width: 768, altup: { ...alternating(2), recycled: true } },
      { name: 'plain-k2', width: 768, altup: alternating(2) },
      // Wider only in d_model, like the shipped one. Next to plain-k2 here, so that both are measured close in time.
      { name: 'dense2x', width: 1536, heads: 12, feedForward: 2048, altup: null },
    ],
  },
  {
    rounds: 15,
    variants: [
      dense,
      { name: 'plain-k4', width: 768, altup: alternating(4) },
      { name: 'sameup-k2', width: 768, altup: { ...alternating(2), selection: 'same' } },
      { name: 'moe', width: 768, altup: null, moe },
      { name: 'altup-moe', width: 768, altup: alternating(2), moe },
    ],
  },
];
interface Case {
  batch: number;
  past: number;
}
const threads = 2;
/** Tokens of the prompt; each step reads the keys and values of all of them. */
const promptTokens = 128;
/** Decoder positions before the step: halfway through a short completion, and far into a long one. */
const pasts = [32, 128] as const;
const cases = [1, 8].flatMap((batch) => pasts.map((past): Case => ({ batch, past })));
const slots = 8;
/** The first step is slower: the previous model has evicted this one from the processor's caches. */
const stepsPerRound = 6;
/** Expand, Predict, Select, 11 CorrectPredict, Correct and Collapse; CorrectPredict costs most. */
const altupNodes = 16;

/** Opens a session and fills every slot up to the longest of `pasts`. */
async function open({ manifest, folder }: ExportedModel, native: LoadedAddon): Promise<NativeSession> {
  const session = await NativeSession.open(manifest, { folder, slots, maxContext: 1024, threads }, native);
  const longest = Math.max(...pasts);
  await session.encode(
    0,
    Array.from({ length: promptTokens }, (_, i) => 100 + i),
  );
  await session.prefill(
    0,
    Array.from({ length: longest }, (_, i) => 200 + i),
    0,
    null,
  );
  for (let slot = 1; slot < slots; slot += 1) session.copySlot(0, slot, longest);
  return session;
}

/** Milliseconds of a step by case, model and round. Every round opens every model anew, alone. */
async function measure(variants: BaseVariant[], rounds: number, native: LoadedAddon): Promise<number[][][]> {
  const models: ExportedModel[] = [];
  for (const variant of variants) models.push(await exportBaseModel(variant));
  const times = cases.map((): number[][] => variants.map(() => []));
  for (let round = 0; round < rounds; round += 1) {
    // The order alternates, so that the machine's drift affects all equally.
    const order = [...models.entries()];
    for (const [index, model] of round % 2 === 0 ? order : order.reverse()) {
      const session = await open(model, native);
      for (const [i, each] of cases.entries()) {
        times[i]![index]!.push(await fastestStep(session, { ...each, steps: stepsPerRound }));
      }
      await session.close();
    }
    console.error(`round ${round + 1} of ${rounds}`);
  }
  for (const model of models) await model.remove();
  return times;
}

/** Milliseconds of CorrectPredict in a chain, by number of blocks. */
async function kernelTimes(batch: number, native: LoadedAddon): Promise<Map<number, number>> {
  const times = new Map<number, number>();
  for (const blocks of [2, 4]) {
    const chain = { blocks, width: 768, tokens: batch };
    const [kernel = []] = await nodeTimes(native, chain, [{ threads, kernels: true }], 9);
    times.set(blocks, median(kernel) / 1000);
  }
  return times;
}

/**
 * Compares decode steps of AltUp models with the dense model of the same layer width and one twice as wide. Models that
 * stay open are not compared: depending on its memory, one opened first can be a fifth slower permanently.
 */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const measured = [];
  for (const { variants, rounds } of groups) {
    measured.push({ variants, all: await measure(variants, rounds, native) });
  }
  for (const [i, { batch, past }] of cases.entries()) {
    const at = `b${batch}${past === 128 ? '' : `-p${past}`}`;
    const kernels = await kernelTimes(batch, native);
    const cache = cacheBytesPerStep(batch, promptTokens, past);
    for (const { variants, all } of measured) {
      const times = all[i]!;
      const relativeTo = (base: number, index: number) =>
        times[index]!.map((time, round) => time / times[base]![round]!);
      for (const [index, variant] of variants.entries()) {
        if (index === 0 && variants !== groups[0]!.variants) continue;
        const step = median(times[index]!);
        const share = (altupNodes * (kernels.get(variant.altup?.num_blocks ?? 0) ?? 0)) / step;
        const [bytes, denseBytes] = [bytesPerStep(variant, batch), bytesPerStep(dense, batch)];
        const relative = relativeTo(0, index);
        rows.push({
          model: variant.name,
          batch,
          past,
          'step ms': step,
          'range ms': spread(times[index]!),
          'to dense': median(relative),
          'to dense, range': spread(relative),
          'weight bytes to dense': bytes / denseBytes,
          'with caches': (bytes + cache) / (denseBytes + cache),
          'AltUp share of step (chain)': share,
        });
        if (variant.altup !== null) ratios[`${variant.name}-share-${at}`] = share;
        if (index === 0) continue;
        ratios[`${variant.name}-${at}`] = median(relative);
        // 1: the step time relative to dense equals the bytes read relative to dense.
        ratios[`${variant.name}-of-bytes-${at}`] = bytes / denseBytes / median(relative);
      }
      const [plain, wide] = ['plain-k2', 'dense2x'].map((name) => variants.findIndex((v) => v.name === name));
      if (wide !== -1) ratios[`dense2x-to-plain-k2-${at}`] = median(relativeTo(plain!, wide!));
    }
  }
  return { name: 'altup-tax', rows, ratios };
}
