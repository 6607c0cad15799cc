import { readManifest } from '../src/catalog/manifest-file.ts';
import { ensureExport } from '../src/export/export-checkpoint.ts';
import { NativeSession } from '../src/runtime/native/native-session.ts';
import { realGemma, setup } from '../test/real/real-weights.ts';
import { requireAddon } from './altup-graph.ts';
import { fastestStep } from './decode-rows.ts';
import { type BenchResult, median, spread } from './result.ts';

const pasts = [512, 2048, 8000];
const batches = [1, 4];
const chunk = 512;
const rounds = 5;
const steps = 8;
const threads = 2;

interface Times {
  /** Milliseconds of the whole prompt, by length. */
  prompts: number[];
  /** Milliseconds of a step, by length and batch. */
  decode: number[];
}

/** @param kernels ours; false: the function bodies, ONNX Runtime's own attention */
async function time(folder: string, kernels: boolean): Promise<Times> {
  const slots = Math.max(...batches);
  const options = { folder, slots, maxContext: Math.max(...pasts) + 64, threads };
  const manifest = await readManifest(folder);
  const session = await NativeSession.open(manifest, options, requireAddon(), { kernels });
  const tokens = Array.from({ length: chunk }, (_, i) => 1000 + 7 * i);
  const times: Times = { prompts: [], decode: [] };
  let [at, spent] = [0, 0];
  for (const past of pasts) {
    const startedAt = performance.now();
    for (; at < past; at += chunk) await session.prefill(0, tokens.slice(0, past - at), at, null);
    at = past;
    spent += performance.now() - startedAt;
    times.prompts.push(spent);
    for (let slot = 1; slot < slots; slot += 1) session.copySlot(0, slot, past);
    for (const batch of batches) times.decode.push(await fastestStep(session, { batch, past, steps }));
  }
  await session.close();
  return times;
}

/** Compares prompts and decode steps of Gemma 3 270M in int8 with our attention and with ONNX Runtime's. */
export async function run(): Promise<BenchResult> {
  setup();
  const { folder } = await ensureExport(realGemma, 'int8');
  const [kernels, bodies]: [Times[], Times[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    // The two alternate in going first, so that the machine's drift affects both equally.
    for (const own of round % 2 === 0 ? [kernels, bodies] : [bodies, kernels]) {
      own.push(await time(folder, own === kernels));
    }
    console.error(`round ${round + 1} of ${rounds}`);
  }
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const compare = (name: string, what: string, of: (times: Times) => number) => {
    const speedups = kernels.map((own, round) => of(bodies[round]!) / of(own));
    const [ours, theirs] = [kernels, bodies].map((all) => median(all.map(of)));
    ratios[name] = median(speedups);
    rows.push({
      what,
      'ours ms': ours!,
      'ONNX Runtime ms': theirs!,
      ratio: median(speedups),
      range: spread(speedups),
    });
  };
  for (const [i, past] of pasts.entries()) {
    compare(`prompt-${past}`, `prompt of ${past}`, ({ prompts }) => prompts[i]!);
    for (const [j, batch] of batches.entries()) {
      compare(`decode-b${batch}-c${past}`, `step of ${batch} behind ${past}`, ({ decode }) => {
        return decode[i * batches.length + j]!;
      });
    }
  }
  return { name: 'long-contexts', rows, ratios };
}
