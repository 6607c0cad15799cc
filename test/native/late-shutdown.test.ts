import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { Admission } from '../../src/engine/client/admission.ts';
import { startEngine } from '../../src/engine/client/engine-client.ts';
import { sharedClock } from '../../src/engine/protocol/clock.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { generationRequest } from '../support/generation-request.ts';
import { RecordingObserver } from '../support/recording-observer.ts';
import { describeNative } from './native-addon.ts';

const checkpoint = `${import.meta.dirname}/../../models/austen-t5-altup-k2`;
const slots = 8;

/** The faults of an engine that must close, without any time to finish, while it encodes long prompts. */
async function faultsOfClosing(folder: string): Promise<string[]> {
  const faults: string[] = [];
  const runtime = { backend: 'native', executionProvider: 'cpu' } as const;
  const limits = {
    threads: 1,
    slots,
    maxContext: 512,
    cacheMemory: null,
    cachePrecision: 'export' as const,
    stepTokens: 4096,
    stepMs: 0,
    promptLookup: true,
    prefillChunk: 512,
  };
  const client = startEngine(
    { options: { runtime, ...limits } },
    {
      admission: new Admission(
        { maxQueuedRequests: slots, maxQueuedTokens: 100_000, clientQueueShare: 100 },
        sharedClock,
      ),
      observer: new RecordingObserver(),
      clock: sharedClock,
      onModelState: () => {},
      onFault: (_, detail) => faults.push(detail),
    },
  );
  const vocabulary = Promise.resolve(Tokenizer.load(checkpoint).data);
  await client.loadModel({ spec: { name: 'model', folder }, vocabulary });
  const promptTokens = Array(500).fill(5);
  const requests = Array.from({ length: slots }, (_, i) => generationRequest({ id: `${i}`, promptTokens }));
  client.generate(requests, new AbortController().signal);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await client.drain(0, 0)).toBe(true);
  return faults;
}

describeNative('a load', ({ addon, library }) => {
  it('is interrupted, and so is each after it', async () => {
    const { folder, manifest } = await ensureExport(checkpoint, 'fp32');
    const model = new addon.NativeModel(library);
    const load = () =>
      model.load({
        decoder: join(folder, manifest.graphs.decoder),
        encoder: join(folder, manifest.graphs.encoder!),
        slots,
        capacity: 64,
        encoderCapacity: 64,
        vocabSize: manifest.vocabSize,
        windows: manifest.cache.map(() => 0),
        threads: 1,
        int8Cache: false,
      });
    const loaded = load();
    addon.interruptSessions();
    await expect(loaded).rejects.toThrow(/interrupted|cancel/i);
    await expect(load()).rejects.toThrow('the load was interrupted');
    await model.close();
  });
});

describeNative('an engine that does not close in time', () => {
  it('is interrupted inside its step', async () => {
    const { folder } = await ensureExport(checkpoint, 'fp32');
    let faults: string[] = [];
    // The request to close may also arrive between two steps.
    for (let tries = 0; tries < 20 && faults.length === 0; tries += 1) faults = await faultsOfClosing(folder);
    expect(faults.join('\n')).toMatch(/terminate flag|was interrupted/);
  });
});
