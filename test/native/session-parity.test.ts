import { expect, it, onTestFinished } from 'vitest';
import { type Precision, precisions } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import type { LoadedAddon } from '../../src/runtime/native-addon.ts';
import { NativeSession } from '../../src/runtime/native-session.ts';
import { OnnxruntimeNodeSession } from '../../src/runtime/onnxruntime-node-session.ts';
import type { Session, SessionOptions } from '../../src/runtime/session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { copyCheckpoint, copyShipped } from '../support/checkpoint-copy.ts';
import { goldenVariants } from '../support/golden.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { type SeededRandom, seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

/** Native with kernels, native with function bodies, and the portable session: the same model, open side by side. */
async function openAll(
  native: LoadedAddon,
  checkpoint: string,
  precision: Precision = 'fp32',
): Promise<Record<string, Session>> {
  const { folder, manifest } = await ensureExport(checkpoint, precision, { out: await temporaryFolder() });
  const options: SessionOptions = { folder, slots: 4, maxContext: 512, threads: 2 };
  const sessions = {
    kernels: await NativeSession.open(manifest, options, native),
    bodies: await NativeSession.open(manifest, options, native, { kernels: false }),
    portable: await OnnxruntimeNodeSession.open(manifest, options),
  };
  onTestFinished(async () => {
    for (const session of Object.values(sessions)) await session.close();
  });
  return sessions;
}

interface Text {
  prompt: number[];
  tokens: number[];
}

function randomTokens(random: SeededRandom, count: number, vocabSize: number): number[] {
  return Array.from({ length: count }, () => 3 + random.below(vocabSize - 3));
}

/** Prompts of all lengths prefilled in chunks, then decoded greedily as one batch that loses a slot on the way. */
async function generate(session: Session, seed: number): Promise<number[][]> {
  const random = seededRandom(seed);
  const texts: Text[] = [3, 70, 17].map((length) => ({
    prompt: randomTokens(random, length, session.vocabSize),
    tokens: [0, ...randomTokens(random, 1 + random.below(40), session.vocabSize)],
  }));
  const samplings = texts.map(() => session.startSampling(samplingRequest()));
  for (const [slot, { prompt, tokens }] of texts.entries()) {
    await session.encode(slot, prompt);
    const given = tokens.length;
    for (let past = 0; past < given; ) {
      const chunk = tokens.slice(past, past + 1 + random.below(12));
      const isLast = past + chunk.length === given;
      const { sampled } = await session.prefill(slot, chunk, past, isLast ? samplings[slot]! : null);
      if (sampled) tokens.push(sampled.token);
      past += chunk.length;
    }
  }
  let active = texts;
  for (let step = 0; step < 40; step += 1) {
    if (step === 20) {
      const [, second, third] = active as [Text, Text, Text];
      session.copySlot(2, 0, third.tokens.length - 1);
      active = [third, second];
    }
    const results = await session.decode(
      active.map((text) => ({
        token: text.tokens.at(-1) ?? 0,
        past: text.tokens.length - 1,
        sampling: samplings[texts.indexOf(text)]!,
      })),
    );
    for (const [slot, { tokens }] of active.entries()) tokens.push((results[slot] as SampledToken).token);
  }
  return texts.map(({ tokens }) => tokens);
}

async function expectParity(sessions: Record<string, Session>, seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const portable = await generate(sessions.portable as Session, seed);
    expect(await generate(sessions.kernels as Session, seed), `kernels, seed ${seed}`).toEqual(portable);
    expect(await generate(sessions.bodies as Session, seed), `bodies, seed ${seed}`).toEqual(portable);
  }
}

describeNative('the native session gives the tokens of the portable one', (native) => {
  it.each(goldenVariants)('%s: chunked prefill, ragged batches, a slot that moves', async (variant) => {
    await expectParity(await openAll(native, await copyCheckpoint(variant)), [1, 2, 3]);
  });

  it.each(precisions.slice(1))('a trained model in %s', async (precision) => {
    const sessions = await openAll(native, await copyShipped('austen-t5-altup-k2'), precision);
    await expectParity(sessions, [1]);
  });
});
