import { cp, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { ModelState } from '../../src/catalog/served-model.ts';
import { TextWorkers } from '../../src/catalog/texts/text-workers.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import { ModelLibrary } from '../../src/service/model-library.ts';
import { fakeModel } from '../support/fake-server.ts';
import { fakeRuntime } from '../support/fake-session.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const shipped = join(import.meta.dirname, '../../models/austen-t5-dense');
const ready = fakeModel('ready').state as Extract<ModelState, { state: 'ready' }>;

/** A library that serves a copy of a model, called `first`, with an engine whose loads end when the test says so. */
async function libraryUnderTest(path = '.', otherPaths: readonly string[] = []) {
  const folder = await temporaryFolder();
  const put = (id: string) => cp(shipped, join(folder, id), { recursive: true });
  await put(join(path, 'first'));
  const log: Record<string, unknown>[] = [];
  const metrics = new Metrics(createMetricsCatalogue(), '1.2.3');
  const texts = new TextWorkers(metrics);
  const forgottenTexts = vi.spyOn(texts, 'forget');
  const forgottenGrammars: string[] = [];
  const loads: string[] = [];
  const library = new ModelLibrary({
    config: {
      models: [path, ...otherPaths].map((each) => join(folder, each)),
      precisions: ['fp32'],
      drafts: new Map(),
      strict: false,
      drainTimeoutMs: 100,
      requestTimeoutMs: 1000,
      memoryLimit: null,
      maxLoadedModels: 9,
      loadsOnDemand: true,
      loadWaitMs: 0,
      maxQueuedRequests: 8,
      maxQueuedTokens: 1000,
      clientQueueShare: 100,
    },
    logger: createLogger('info', { write: (line) => log.push(JSON.parse(line)) }),
    metrics,
    texts,
    forgetGrammars: (model) => forgottenGrammars.push(model),
    isDraining: () => false,
  });
  onTestFinished(async () => {
    texts.close();
    await library.close();
  });
  await library.find();
  const engine = {
    loadModel: ({ spec }: { spec: { name: string } }) => {
      loads.push(spec.name);
      return new Promise<void>(() => {});
    },
    unloadModel: async () => {},
  };
  const cache = { maxContext: 64, cacheMemory: null, cachePrecision: 'export' } as const;
  const options = { runtime: fakeRuntime, threads: 1, slots: 1, ...cache };
  const steps = { stepTokens: 64, stepMs: 0, prefillChunk: 64, promptLookup: false };
  const started = library.serve(engine, { ...options, ...steps });
  started.catch(() => {});
  const isLoading = (name: string) => expect.poll(() => loads, { timeout: 20_000 }).toContain(name);
  return { folder, put, library, log, loads, forgottenTexts, forgottenGrammars, isLoading };
}

it('a reload answers at once, while models load, and says so if it must wait for exports', async () => {
  const { put, library, log, isLoading } = await libraryUnderTest();
  expect(await library.reload()).toBeNull();
  await isLoading('first');
  const readings = () => log.filter(({ msg }) => msg === 'models read again');
  await expect.poll(() => readings().length).toBe(1);
  // The engine has not answered, so the model still loads.
  expect(library.models.get('first')!.state.state).toBe('loading');
  await put('second');
  const answers = [library.reload(), library.reload()];
  for (const answer of answers) expect(await answer).toMatchObject({ added: ['second'], problem: null });
  await expect.poll(() => [...library.models.keys()]).toEqual(['first', 'second']);
  expect(readings()).toHaveLength(2);
});

it('a model that is removed or tried again leaves nothing in helper processes and the compiler', async () => {
  const { folder, library, loads, forgottenTexts, forgottenGrammars, isLoading } = await libraryUnderTest();
  await isLoading('first');
  library.engineReports('first', { state: 'failed', message: 'no memory' }, null);
  await library.reload();
  await expect.poll(() => library.models.get('first')!.state.state).toBe('loading');
  expect(forgottenGrammars).toEqual(['first']);
  expect(forgottenTexts.mock.calls).toMatchObject([[{ checkpoint: join(folder, 'first'), reading: 1 }]]);

  await expect.poll(() => loads.length, { timeout: 20_000 }).toBe(2);
  library.engineReports('first', ready, 1);
  await rename(join(folder, 'first'), join(folder, 'second'));
  await library.reload();
  await expect.poll(() => forgottenGrammars).toEqual(['first', 'first']);
  expect(forgottenTexts.mock.lastCall).toMatchObject([{ checkpoint: join(folder, 'first'), reading: 2 }]);
});

it('a model that moves to another path is served from there', async () => {
  const { folder, put, library, loads, isLoading } = await libraryUnderTest('one', ['two']);
  await put('two/second');
  await library.reload();
  for (const name of ['first', 'second']) {
    await isLoading(name);
    library.engineReports(name, ready, 1);
  }
  await rename(join(folder, 'one/first'), join(folder, 'two/first'));
  await library.reload();
  await expect.poll(() => loads, { timeout: 20_000 }).toEqual(['first', 'second', 'first']);
  expect([...library.models.keys()].sort()).toEqual(['first', 'second']);
});
