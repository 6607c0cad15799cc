import { NativeSession } from '../src/runtime/native/native-session.ts';
import { requireAddon } from './altup-graph.ts';
import { decodeRows, greedySamplings } from './decode-rows.ts';
import { MidSizeGemma3n } from './mid-size-gemma3n.ts';
import { type BenchResult, median, spread } from './result.ts';

const threads = 2;
const context = 128;
const rounds = 9;
const stepsPerRound = 4;

/** Compares decode steps of Gemma 3n with and without AltUp: routers, blocks, and the projections around them. */
export async function run(): Promise<BenchResult> {
  const native = requireAddon();
  const model = await MidSizeGemma3n.write();
  const sessions: NativeSession[] = [];
  for (const kind of ['plain', 'altup'] as const) {
    const { folder, manifest } = await model.export(kind);
    const options = { folder, slots: 8, maxContext: 512, threads };
    const session = await NativeSession.open(manifest, options, native);
    const prompt = Array.from({ length: context }, (_, i) => 400 + i);
    for (let slot = 0; slot < 8; slot += 1) await session.prefill(slot, prompt, 0, null);
    sessions.push(session);
  }
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const batch of [1, 8]) {
    const times: [number[], number[]] = [[], []];
    const samplings = sessions.map((session) => greedySamplings(session, batch));
    for (let round = -2; round < rounds; round += 1) {
      // The order alternates, so that the machine's drift affects both equally.
      const order = [...sessions.entries()];
      for (const [index, session] of round % 2 === 0 ? order : order.reverse()) {
        const steps: number[] = [];
        for (let step = 0; step < stepsPerRound; step += 1) {
          const rows = decodeRows(samplings[index]!, 300 + step, context);
          const start = performance.now();
          await session.decode(rows);
          steps.push(performance.now() - start);
        }
        if (round >= 0) times[index]!.push(median(steps));
      }
    }
    const [plain, altup] = times;
    const relative = altup.map((time, round) => time / plain[round]!);
    ratios[`gemma3n-b${batch}`] = median(relative);
    rows.push({
      batch,
      'with AltUp ms': median(altup),
      'without ms': median(plain),
      ratio: median(relative),
      'ratio, range': spread(relative),
    });
  }
  for (const session of sessions) await session.close();
  await model.remove();
  return { name: 'gemma3n-tax', rows, ratios };
}
