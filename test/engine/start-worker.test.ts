import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Admission } from '../../src/engine/client/admission.ts';
import { startEngine } from '../../src/engine/client/engine-client.ts';
import { sharedClock } from '../../src/engine/protocol/clock.ts';
import { fakeRuntime } from '../support/fake-session.ts';
import { modelToLoad } from '../support/fake-tokenizer.ts';
import { RecordingObserver } from '../support/recording-observer.ts';

it('starts a thread that says what it cannot load, and ends by itself when drained', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'no-model-'));
  const states: string[] = [];
  const client = startEngine(
    {
      options: {
        runtime: fakeRuntime,
        threads: 1,
        slots: 1,
        maxContext: 16,
        cacheMemory: null,
        cachePrecision: 'export',
        stepTokens: 16,
        stepMs: 0,
        promptLookup: true,
        prefillChunk: 16,
      },
    },
    {
      admission: new Admission(
        { maxQueuedRequests: 1, maxQueuedTokens: 10, clientQueueShare: 100 },
        sharedClock,
      ),
      observer: new RecordingObserver(),
      clock: sharedClock,
      onModelState: (model, state) =>
        states.push(`${model} ${state.state} ${'message' in state && state.message}`),
      onFault: (_, detail) => states.push(detail),
    },
  );
  await client.loadModel(modelToLoad('absent', folder));
  expect(states).toEqual([expect.stringContaining(join(folder, 'manifest.json'))]);
  expect(process.env.ORT_DISABLE_TELEMETRY).toBe('1');
  expect(await client.drain(0)).toBe(true);
  rmSync(folder, { recursive: true });
});
