import { greedySamplings } from '../../bench/decode-rows.ts';
import { median } from '../../bench/result.ts';
import type { LoadedAddon } from '../../src/runtime/native/native-addon.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';
import type { Exported } from './parity.ts';

export interface Speed {
  kernels: boolean;
  /** Milliseconds of a prompt of 512 tokens, with the choice of its next token. */
  promptMs: number;
  steps: { batch: number; ms: number; runMs: number }[];
}

const prompt = 512;
const rounds = 20;

/**
 * Measures prompts of a decoder-only model, and decode steps behind `prompt` tokens at several batch sizes. `ms` is the whole step with the choice of
 * tokens, `runMs` ONNX Runtime's part; medians.
 */
export async function measure(
  native: LoadedAddon,
  { folder, manifest }: Exported,
  { kernels, batches }: { kernels: boolean; batches: readonly number[] },
): Promise<Speed> {
  const slots = Math.max(...batches);
  const options = { folder, slots, maxContext: prompt + 64, threads: 2 };
  const session = await NativeSession.open(manifest, options, native, { executionProvider: 'cuda', kernels });
  try {
    const tokens = Array.from({ length: prompt }, (_, i) => 5 + ((i * 7919) % (manifest.vocabSize - 5)));
    const [sampling] = greedySamplings(session, 1);
    const prompts: number[] = [];
    for (let slot = 0; slot < slots; slot += 1) {
      const start = performance.now();
      await session.prefill(slot, tokens, 0, sampling!);
      // The first one allocates.
      if (slot > 0 || slots === 1) prompts.push(performance.now() - start);
    }
    const steps: Speed['steps'] = [];
    for (const batch of batches) {
      const samplings = greedySamplings(session, batch);
      const [all, runs]: [number[], number[]] = [[], []];
      for (let round = -3; round < rounds; round += 1) {
        const rows = samplings.map((each) => ({ token: 7, past: prompt + round + 3, sampling: each }));
        const start = performance.now();
        await session.decode(rows);
        if (round < 0) continue;
        all.push(performance.now() - start);
        runs.push(session.runTimeMs);
      }
      steps.push({ batch, ms: median(all), runMs: median(runs) });
      for (const each of samplings) each.end();
    }
    sampling!.end();
    return { kernels, promptMs: median(prompts), steps };
  } finally {
    await session.close();
  }
}
