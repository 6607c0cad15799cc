import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Precision } from '../../src/catalog/manifest.ts';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import type { EngineRequest, GenerationEvent } from '../../src/engine/protocol/generation.ts';
import type { ModelSpec } from '../../src/engine/protocol/messages.ts';
import { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';
import { loadModel } from '../../src/engine/worker/load-model.ts';
import { MemoryBudget } from '../../src/engine/worker/memory-budget.ts';
import type { ModelEngine } from '../../src/engine/worker/model-engine.ts';
import { weightsBytes } from '../../src/engine/worker/model-memory.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import type { Runtime, Session } from '../../src/runtime/session.ts';
import { describeNative } from '../native/native-addon.ts';
import { cpuPrecisions } from '../support/cpu-precisions.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ServiceProcess } from '../support/service-process.ts';

const models = join(import.meta.dirname, '../../models');
const runtime: Runtime = { backend: 'native', executionProvider: 'cpu' };

/** The session, each call of which takes `ms` on a clock. */
const taking = (session: Session, ms: number, clock: ManualClock): Session =>
  new Proxy(session, {
    get(target, name: keyof Session) {
      const member = target[name];
      if (typeof member !== 'function') return member;
      return (...call: unknown[]) => {
        clock.advance(ms);
        return (member as (...call: unknown[]) => unknown).apply(target, call);
      };
    },
  });

/** A model with a draft or without. On its clock, drafting always pays. */
async function load(model: string, precision: Precision, draft: [string, Precision] | null) {
  const exported = draft && (await ensureExport(join(models, draft[0]), draft[1]));
  return await loadWith(model, precision, exported && { name: draft[0], folder: exported.folder });
}

async function loadWith(
  model: string,
  precision: Precision,
  draft: ModelSpec['draft'] | null,
  memory = new MemoryBudget(2 ** 33),
) {
  const checkpoint = join(models, model);
  const faults: unknown[] = [];
  const clock = new ManualClock();
  const msOfCalls = [10, 1];
  const engine = await loadModel(
    {
      name: model,
      folder: (await ensureExport(checkpoint, precision)).folder,
      ...(draft && { draft }),
    },
    Promise.resolve(Tokenizer.load(checkpoint).data),
    {
      options: {
        runtime,
        threads: 2,
        slots: 4,
        maxContext: 512,
        cacheMemory: null,
        cachePrecision: 'export',
        stepTokens: 512,
        stepMs: 0,
        prefillChunk: 64,
        promptLookup: false,
      },
      openSession: async (options) => taking(await openSession(options, runtime), msOfCalls.shift()!, clock),
      memory,
      clock: clock.now,
      onFault: (_, error) => faults.push(error),
    },
  );
  return { engine, faults };
}

/** Runs requests that come one after the other. @returns their events without times, by id */
async function run(engine: ModelEngine, requests: readonly EngineRequest[]) {
  const events: GenerationEvent[] = [];
  const waiting = [...requests];
  while (waiting.length > 0 || engine.hasWork) {
    const next = waiting.shift();
    if (next) engine.submit(next);
    if (next?.id === 'g') engine.abort(['f']);
    events.push(...(await engine.step()).events);
  }
  return new Map(requests.map(({ id }) => [id, events.filter((event) => event.id === id)]));
}

const said = (events: readonly GenerationEvent[]) =>
  events.flatMap((event) =>
    event.type === 'tokens' || event.type === 'finished' ? [{ ...event, at: 0 }] : [],
  );

describeNative('a model with a draft', () => {
  const pairs: [string, Precision, [string, Precision]][] = [
    ...cpuPrecisions.map((own): [string, Precision, [string, Precision]] => [
      'austen-gemma3n',
      own,
      ['austen-gemma3', 'int8'],
    ]),
    ...cpuPrecisions.map((own): [string, Precision, [string, Precision]] => [
      'austen-t5-altup-k2',
      own,
      ['austen-t5-dense', 'fp32'],
    ]),
    ['austen-gemma3', 'fp32', ['austen-gemma3', 'int4']],
    ['austen-t5-dense2x', 'fp32', ['austen-t5-recycled-k2', 'int8']],
    ['austen-t5-average-pool', 'fp32', ['austen-t5-sequence-altup', 'fp32']],
    ['austen-t5-sameup-k2', 'fp32', ['austen-t5-moe', 'fp32']],
  ];

  it.each(pairs)(
    '%s in %s, drafted by %j: has the same tokens as without',
    async (model, precision, draft) => {
      const tokenizer = Tokenizer.load(join(models, model));
      const request = (id: string, prompt: string, more: RequestOverrides) =>
        generationRequest({ id, promptTokens: tokenizer.encode(prompt), maxTokens: 40, ...more });
      const long =
        'She had been a friend and companion such as few possessed, intelligent and useful. '.repeat(6);
      const requests = [
        request('a', 'It is a truth universally', { stop: { ignoreEos: true }, logprobs: 3 }),
        request('b', 'Emma Woodhouse, handsome, clever, and', {
          sampling: { temperature: 0.8, seed: [1, 2] },
        }),
        request('c', long, {
          sampling: { temperature: 1, topP: 0.9, seed: [3, 4] },
          stop: { ignoreEos: true },
        }),
        request('d', 'No one who had ever seen', {
          sampling: { repetitionPenalty: 1.3, presencePenalty: 0.5 },
        }),
        request('e', 'It is a truth universally', { stop: { strings: [' and'], ignoreEos: true } }),
        request('f', 'Sir Walter', { maxTokens: 80, stop: { ignoreEos: true } }),
        request('g', `${long} She was`, { sampling: { temperature: 0.6, minP: 0.05, seed: [5, 6] } }),
        request('h', 'About thirty years ago', { sampling: { badWords: [[30], [40, 41]] }, maxTokens: 60 }),
      ];
      const [with_, without] = [await load(model, precision, draft), await load(model, precision, null)];
      const [fast, slow] = [await run(with_.engine, requests), await run(without.engine, requests)];
      let [right, all] = [0, 0];
      for (const own of requests) {
        if (own.id === 'f') continue;
        expect(said(fast.get(own.id)!)).toEqual(said(slow.get(own.id)!));
        const life = new SequenceLife(own);
        for (const event of fast.get(own.id)!) life.add(event);
        right += life.rightGuesses;
        all += life.generatedTokens;
      }
      expect(with_.faults).toEqual([]);
      // Siblings agree often enough that drafts were really in use.
      expect(right / all).toBeGreaterThan(0.1);
      await Promise.all([with_.engine.close(), without.engine.close()]);
    },
  );

  it('generates without one that cannot be opened, and says so', async () => {
    const gone = { name: 'gone', folder: join(models, 'gone') };
    const { engine, faults } = await loadWith('austen-gemma3', 'fp32', gone);
    const promptTokens = Tokenizer.load(join(models, 'austen-gemma3')).encode('Emma');
    const events = await run(engine, [generationRequest({ id: 'a', promptTokens, maxTokens: 4 })]);
    expect(events.get('a')!.at(-1)?.type).toBe('finished');
    expect(faults).toEqual([expect.stringContaining('its draft gone failed and stays off')]);
    await engine.close();
  });

  it('has room where memory is short, but not at the cost of half of the model’s cache', async () => {
    const [model, draft] = await Promise.all(
      (['fp32', 'int4'] as const).map((precision) => ensureExport(join(models, 'austen-gemma3'), precision)),
    );
    const weights = await weightsBytes(model!.manifest, model!.folder);
    const faultsWithin = async (bytes: number) => {
      const memory = new MemoryBudget(weights + bytes);
      const small = { name: 'small', folder: draft!.folder };
      const { engine, faults } = await loadWith('austen-gemma3', 'fp32', small, memory);
      await engine.close();
      return faults;
    };
    // A cache gets at most 0.7 of what is left, so the draft's 1.9 MB would not fit behind it.
    expect(await faultsWithin(5_000_000)).toEqual([]);
    expect(await faultsWithin(3_000_000)).toEqual([expect.stringContaining('of memory')]);
  });
});

describeNative('a service with drafts', () => {
  let service: ServiceProcess;
  const model = 'austen-gemma3n';
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: `models/${model},models/austen-gemma3,models/austen-t5-moe,models/austen-t5-dense`,
      ALTUP_DRAFT: `${model}=austen-gemma3,austen-t5-moe=austen-t5-dense`,
      ALTUP_PROMPT_LOOKUP: 'false',
    });
  }, 120_000);
  afterAll(() => service.stop());

  it('counts what was proposed and what was right, in usage and in metrics', async () => {
    let [right, all] = [0, 0];
    for (const prompt of ['It is a truth', 'Emma Woodhouse', 'Sir Walter Elliot']) {
      const body = { model, prompt, max_tokens: 48, ignore_eos: true, temperature: 0 };
      const response = await service.post('/v1/completions', body);
      const { usage } = (await response.json()) as {
        usage: { completion_tokens_details: Record<string, number> };
      };
      const details = usage.completion_tokens_details;
      right += details.accepted_prediction_tokens!;
      all += details.accepted_prediction_tokens! + details.rejected_prediction_tokens!;
    }
    expect(all).toBeGreaterThan(0);
    const metrics = await service.metrics();
    for (const [kind, count] of [
      ['guessed_tokens', all],
      ['right_guesses', right],
      ['drafted_tokens', all],
      ['right_drafts', right],
    ] as const) {
      expect(metrics.sum(`altup_${kind}_total`, `model="${model}"`)).toBe(count);
    }
  });

  it('counts the draft as memory of its model', async () => {
    const response = await fetch(`${service.url}/v1/models`);
    const { data } = (await response.json()) as { data: { id: string; memory_bytes: number }[] };
    const bytes = new Map(data.map(({ id, memory_bytes }) => [id, memory_bytes]));
    expect(bytes.get(model)!).toBeGreaterThan(bytes.get('austen-gemma3')!);
  });

  it('says that a model with sparse experts has no use of one', () => {
    expect(service.log).toContainEqual(
      expect.objectContaining({
        msg: 'ALTUP_DRAFT has no effect',
        model: 'austen-t5-moe',
        draft: 'austen-t5-dense',
        reason: expect.stringContaining('sparse experts'),
      }),
    );
  });
});

it('refuses a draft that is no model at the start', async () => {
  const service = ServiceProcess.launch({
    ALTUP_MODELS: 'models/austen-t5-dense',
    ALTUP_DRAFT: 'austen-t5-dense=austen-t5',
  });
  expect(await service.exited).not.toBe(0);
  expect(service.output).toContain(
    "ALTUP_DRAFT: no model is called 'austen-t5'; the models are austen-t5-dense",
  );
});
