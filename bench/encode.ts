import { NativeSession } from '../src/runtime/native/native-session.ts';
import { requireAddon } from './altup-graph.ts';
import { type BaseVariant, exportBaseModel } from './base-model.ts';
import { type BenchResult, median, spread } from './result.ts';
import { numberAsked } from './support/number-asked.ts';

const width = 768;
const altup = { num_blocks: 2, selection: 'alternating' as const, recycled: false };
const moe = { num_experts: 128, expert_d_ff: 16, top_k: 1 };
const variants: BaseVariant[] = [
  { name: 'dense', width, altup: null },
  { name: 'sequence-altup', width, altup: null, sequence: { stride: 4, method: 'altup' } },
  { name: 'stride-skip', width, altup: null, sequence: { stride: 4, method: 'skip' } },
  { name: 'average-pool', width, altup: null, sequence: { stride: 4, method: 'average' } },
  { name: 'altup-k2', width, altup },
  { name: 'recycled-k2', width, altup: { ...altup, recycled: true } },
  { name: 'moe', width, altup: null, moe },
];
/** T5-Base's encoder with one decoder layer, whose cross-attention keys and values are a part of the time. */
const layers = { encoder: 12, decoder: 1 };

/** Compares the variants' speed with dense for a prompt of 512 tokens through T5-Base's encoder. */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const tokens = numberAsked('tokens', 512);
  const rounds = numberAsked('rounds', 15);
  const threads = numberAsked('threads', 2);
  const prompt = Array.from({ length: tokens }, (_, i) => 100 + ((i * 7919) % 30_000));
  const models = [];
  const sessions: NativeSession[] = [];
  for (const variant of variants) {
    const model = await exportBaseModel(variant, layers);
    models.push(model);
    const options = { folder: model.folder, slots: 1, maxContext: 1024, threads };
    sessions.push(await NativeSession.open(model.manifest, options, native));
  }
  const times: number[][] = variants.map(() => []);
  for (let round = -3; round < rounds; round += 1) {
    // The order alternates, so that the machine's drift affects all equally.
    const order = [...sessions.entries()];
    for (const [index, session] of round % 2 === 0 ? order : order.reverse()) {
      const own = [];
      for (let run = 0; run < 2; run += 1) {
        const start = performance.now();
        await session.encode(0, prompt);
        own.push(performance.now() - start);
      }
      // Other load on the machine only adds time.
      if (round >= 0) times[index]!.push(Math.min(...own));
    }
  }
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const faster = (name: string, than: string) => {
    const of = (variant: string) => times[variants.findIndex((each) => each.name === variant)]!;
    return of(than).map((time, round) => time / of(name)[round]!);
  };
  for (const [index, { name }] of variants.entries()) {
    const speed = faster(name, 'dense');
    rows.push({
      model: name,
      ms: median(times[index]!),
      'ms, range': spread(times[index]!),
      'tokens/s': (1000 * tokens) / median(times[index]!),
      'speed to dense': median(speed),
      'speed to dense, range': spread(speed),
    });
    if (index > 0) ratios[`${name}-speed`] = median(speed);
  }
  ratios['sequence-altup-speed-to-stride-skip'] = median(faster('sequence-altup', 'stride-skip'));
  for (const session of sessions) await session.close();
  for (const model of models) await model.remove();
  return { name: 'encode', rows, ratios };
}
