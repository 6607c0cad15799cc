import { NativeSession } from '../src/runtime/native/native-session.ts';
import { requireAddon } from './altup-graph.ts';
import { greedySamplings } from './decode-rows.ts';
import { MidSizeGemma3n } from './mid-size-gemma3n.ts';
import { type BenchResult, median, spread } from './result.ts';

const chunk = 256;
const rounds = 9;
const prompt = Array.from({ length: 2 * chunk }, (_, i) => 400 + i);

/** Compares a prompt of Gemma 3n that skips the layers with shared caches, except its last token, with one that does not. */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const model = await MidSizeGemma3n.write();
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const precision of ['fp32', 'int8', 'int4'] as const) {
    const sessions: NativeSession[] = [];
    for (const kind of ['altup', 'every layer'] as const) {
      const { folder, manifest } = await model.export(kind, precision);
      const options = { folder, slots: 1, maxContext: prompt.length, threads: 2 };
      sessions.push(await NativeSession.open(manifest, options, native));
    }
    const times: [number[], number[]] = [[], []];
    for (let round = -1; round < rounds; round += 1) {
      // The order alternates, so that the machine's drift affects both equally.
      const order = [...sessions.entries()];
      for (const [index, session] of round % 2 === 0 ? order : order.reverse()) {
        const [sampling] = greedySamplings(session, 1);
        // Processor time, because other work on the machine changes it less.
        const start = process.cpuUsage();
        await session.prefill(0, prompt.slice(0, chunk), 0, null);
        await session.prefill(0, prompt.slice(chunk), chunk, sampling!);
        const { user, system } = process.cpuUsage(start);
        if (round >= 0) times[index]!.push((user + system) / 1000);
      }
    }
    for (const session of sessions) await session.close();
    const [skipping, whole] = times;
    const relative = skipping.map((time, round) => time / whole[round]!);
    ratios[`shared-layers-${precision}`] = median(relative);
    rows.push({
      precision,
      'skipping, CPU ms': median(skipping),
      'every layer, CPU ms': median(whole),
      ratio: median(relative),
      'ratio, range': spread(relative),
    });
  }
  await model.remove();
  return { name: 'shared-layers', rows, ratios };
}
