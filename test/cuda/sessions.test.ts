import { globSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { NativeSession, type NativeSettings } from '../../src/runtime/native/native-session.ts';
import { describeNative } from '../native/native-addon.ts';
import { alone, ragged } from '../support/greedy-generation.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

// `npm run test:cuda` runs this and ensures that there is a device.

const models = globSync('models/*/config.json', { cwd: join(import.meta.dirname, '../..') }).map((file) =>
  basename(dirname(file)),
);
/** Tokens with a smaller lead over the next likeliest may differ between devices, which round sums differently. */
const tie = 0.05;

describeNative('fp16 on CUDA', (native) => {
  async function open(model: string, settings: NativeSettings): Promise<NativeSession> {
    const checkpoint = join(import.meta.dirname, '../../models', model);
    const { folder, manifest } = await ensureExport(checkpoint, 'fp16', { out: await temporaryFolder() });
    const session = await NativeSession.open(
      manifest,
      { folder, slots: 4, maxContext: 512, threads: 2 },
      native,
      settings,
    );
    onTestFinished(() => session.close());
    return session;
  }
  const cuda: NativeSettings = { executionProvider: 'cuda' };

  it.each(models)('%s: the tokens of the CPU, up to ties', async (model) => {
    const [onCpu, onCuda] = [await open(model, {}), await open(model, cuda)];
    const random = seededRandom(1);
    for (const length of [1, 7, 40]) {
      const prompt = Array.from({ length }, () => 3 + random.below(onCpu.vocabSize - 3));
      const expected = await alone(onCpu, prompt, 40);
      const got = await alone(onCuda, prompt, 40);
      const apart = expected.findIndex(({ token }, i) => token !== got[i]?.token);
      if (apart !== -1)
        expect(expected[apart]?.margin, `prompt of ${length}, token ${apart}`).toBeLessThan(tie);
    }
  });

  it.each(models)('%s: kernels and function bodies agree in ragged batches', async (model) => {
    const [kernels, bodies] = [await open(model, cuda), await open(model, { ...cuda, kernels: false })];
    expect(await ragged(kernels, 1)).toEqual(await ragged(bodies, 1));
  });

  it('prints what a decode step takes', async () => {
    for (const model of models) {
      for (const [name, settings] of Object.entries({ kernels: cuda, bodies: { ...cuda, kernels: false } })) {
        const session = await open(model, settings);
        await ragged(session, 1);
        const times: number[] = [];
        for (let step = 0; step < 200; step += 1) {
          await session.decode([{ token: 5, past: 60 + step, sampling: null }]);
          times.push(session.runTimeMs);
        }
        const median = times.sort((a, b) => a - b)[100];
        console.log(`${model}, ${name}: ${median?.toFixed(3)} ms of ONNX Runtime a step`);
      }
    }
  });
});
