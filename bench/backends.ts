import { NativeSession } from '../src/runtime/native/native-session.ts';
import { OnnxruntimeNodeSession } from '../src/runtime/portable/onnxruntime-node-session.ts';
import type { Session } from '../src/runtime/session.ts';
import { requireAddon } from './altup-graph.ts';
import { type BaseVariant, bytesPerStep, cacheBytesPerStep, exportBaseModel } from './base-model.ts';
import { decodeRows, greedySamplings } from './decode-rows.ts';
import { type BenchResult, median, spread } from './result.ts';
import { timeReading } from './support/native-timing.ts';

const variant: BaseVariant = { name: 'dense', width: 768, altup: null };
const threads = 2;
const encoderTokens = 128;
const rounds = 15;
const stepsPerRound = 8;

async function fill(session: Session, context: number): Promise<void> {
  for (let slot = 0; slot < session.slots; slot += 1) {
    await session.encode(
      slot,
      Array.from({ length: encoderTokens }, (_, i) => 100 + i),
    );
    for (let past = 0; past < context; past += 128) {
      await session.prefill(
        slot,
        Array.from({ length: 128 }, (_, i) => 200 + i),
        past,
        null,
      );
    }
  }
}

/** Compares decode steps of the native and the portable session, and measures the time outside of ONNX Runtime. */
export async function run(): Promise<BenchResult> {
  const addon = requireAddon();
  const model = await exportBaseModel(variant);
  const rows: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  const bandwidth = timeReading(2 ** 29, threads, 5);
  for (const [batch, context] of [
    [1, 128],
    [8, 128],
    [8, 896],
  ] as const) {
    const options = { folder: model.folder, slots: batch, maxContext: 1024, threads };
    const native = await NativeSession.open(model.manifest, options, addon);
    const portable = await OnnxruntimeNodeSession.open(model.manifest, options);
    await fill(native, context);
    await fill(portable, context);
    const samplings = {
      native: greedySamplings(native, batch),
      portable: greedySamplings(portable, batch),
    };
    const times = {
      native: [] as number[],
      portable: [] as number[],
      binding: [] as number[],
      sampling: [] as number[],
    };
    for (let round = -3; round < rounds; round += 1) {
      const own = {
        native: [] as number[],
        portable: [] as number[],
        binding: [] as number[],
        sampling: [] as number[],
      };
      for (const [name, session] of Object.entries({ native, portable }) as [
        'native' | 'portable',
        Session,
      ][]) {
        for (let step = 0; step < stepsPerRound; step += 1) {
          const rows = decodeRows(samplings[name], 300 + step, context);
          const start = performance.now();
          await session.decode(rows);
          const time = performance.now() - start;
          own[name].push(time);
          if (name === 'portable') continue;
          // The same step without sampling: the time outside of ONNX Runtime is then binding and JavaScript.
          const all = time - native.runTimeMs;
          const unsampled = rows.map((row) => ({ ...row, sampling: null }));
          const again = performance.now();
          await session.decode(unsampled);
          const binding = performance.now() - again - native.runTimeMs;
          own.binding.push(binding);
          own.sampling.push(all - binding);
        }
      }
      if (round < 0) continue;
      for (const name of ['native', 'portable', 'binding', 'sampling'] as const)
        times[name].push(median(own[name]));
    }
    const key = `b${batch}-c${context}`;
    const step = median(times.native);
    const bytes = bytesPerStep(variant, batch) + cacheBytesPerStep(batch, encoderTokens, context);
    ratios[`decode-${key}`] = median(times.portable) / step;
    ratios[`overhead-us-${key}`] = median(times.binding) * 1000;
    ratios[`sampling-us-${key}`] = median(times.sampling) * 1000;
    ratios[`step-to-ort-run-${key}`] = step / (step - median(times.binding) - median(times.sampling));
    ratios[`bandwidth-share-${key}`] = ((bytes / bandwidth) * 1000) / step;
    rows.push({
      case: key,
      'native ms': step,
      'native range': spread(times.native),
      'portable ms': median(times.portable),
      'portable range': spread(times.portable),
      'binding and JavaScript µs': median(times.binding) * 1000,
      'sampling µs': median(times.sampling) * 1000,
      'bound ms': (bytes / bandwidth) * 1000,
      'read GB/s': bandwidth / 1e9,
    });
    await native.close();
    await portable.close();
  }
  await model.remove();
  return { name: 'backends', rows, ratios };
}
