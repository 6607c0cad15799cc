import { cacheBytesPerToken } from '../../catalog/cache-bytes.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import { readManifest } from '../../catalog/manifest-file.ts';
import { Vocabulary, type VocabularyData } from '../../catalog/tokenizer/vocabulary.ts';
import { ConfigurationError } from '../../errors.ts';
import { forgetTokenBytes, keepTokenBytes } from '../../runtime/grammars/token-bytes.ts';
import type { Session, SessionOptions } from '../../runtime/session.ts';
import { SamplingError } from '../../sampling/sampling-error.ts';
import { greedy } from '../../sampling/sampling-request.ts';
import type { Clock } from '../protocol/clock.ts';
import { type EngineOptions, errorDetail, type ModelSpec } from '../protocol/messages.ts';
import { CacheMemory } from '../scheduler/cache-memory.ts';
import { Scheduler } from '../scheduler/scheduler.ts';
import { StepTimes } from '../scheduler/step-times.ts';
import { Draft } from './guesses/draft.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { ModelEngine } from './model-engine.ts';
import { type MemoryPlan, planMemory, spareSlots, weightsBytes } from './model-memory.ts';
import { TimedSession } from './timed-session.ts';

/** Maximum tokens of the trial prompt. */
const maxTrialTokens = 8;

/**
 * Lets a loaded model choose one token. Finite weights can have products that are not finite, above all in half
 * precision; then no request could be answered. Later requests overwrite what the trial leaves in slot 0.
 * @throws ConfigurationError for a model that computes no number
 */
async function tryModel(session: Session, manifest: Manifest, folder: string): Promise<void> {
  const { specialTokens, graphs, vocabSize, precision } = manifest;
  const begins = [specialTokens.bos, specialTokens.pad, ...specialTokens.eos].filter((id) => id !== null);
  const tokens = [...new Set([...begins, 0, 1, 2, 3, 4])]
    .filter((id) => id < vocabSize)
    .slice(0, maxTrialTokens);
  const none = { promptTokens: [], endTokens: [], minTokens: 0, logprobs: null };
  const sampling = session.startSampling({ ...none, parameters: greedy });
  try {
    let problem: unknown = null;
    if (graphs.encoder === null) {
      await session.prefill(0, tokens, 0, sampling);
    } else {
      await session.encode(0, tokens);
      [problem] = await session.decode([{ token: specialTokens.decoderStart!, past: 0, sampling }]);
    }
    if (problem instanceof SamplingError) throw problem;
  } catch (error) {
    if (!(error instanceof SamplingError)) throw error;
    throw new ConfigurationError(
      `${folder}: cannot compute an answer in ${precision}: ${error.message} The weights are damaged or too large for ${precision}.`,
      { cause: error },
    );
  } finally {
    sampling.end();
  }
}

export interface LoadContext {
  options: EngineOptions;
  openSession(options: SessionOptions): Promise<Session>;
  memory: MemoryBudget;
  clock: Clock;
  onFault(model: string, error: unknown): void;
}

/** Fewer tokens are of no use. */
const minContext = 16;

/** A model in memory. */
interface Opened {
  manifest: Manifest;
  plan: MemoryPlan;
  session: Session;
  memory: CacheMemory | undefined;
  /** Maximum tokens of a sequence. */
  capacity: number;
  /** Frees its share of the memory. */
  release: () => void;
}

/**
 * Makes one model ready to generate.
 * @param reading resolves with the model's vocabulary, which is read meanwhile
 * @throws Error that names the file at fault
 */
export async function loadModel(
  spec: ModelSpec,
  reading: Promise<VocabularyData>,
  context: LoadContext,
): Promise<ModelEngine> {
  const { stepTokens, stepMs, prefillChunk } = context.options;
  const opened = await openModel(spec, context, await draftWeights(spec));
  const { manifest, plan, session, memory, capacity, release } = opened;
  const draft = await openDraft(spec, opened, context);
  const { need, slotCapacity } = plan;
  const data = await reading.catch(async (error) => {
    await Promise.allSettled([session.close(), draft?.draft.close()]);
    release();
    draft?.release();
    throw error;
  });
  const tokenizer = new Vocabulary(data);
  const hasEncoder = manifest.graphs.encoder !== null;
  const { eos, decoderStart } = manifest.specialTokens;
  const isNative = session.runtime.backend === 'native';
  if (isNative) keepTokenBytes(spec.name, tokenizer, session.vocabSize, eos);
  const limits = {
    slots: session.slots,
    capacity,
    encoderCapacity: hasEncoder
      ? Math.min(session.encoderCapacity, manifest.encoderContextLength ?? session.encoderCapacity)
      : 0,
  };
  const { encoderWidth } = session;
  const cache = { cacheBudget: need.cache, isCacheLimit: capacity < slotCapacity };
  return new ModelEngine({
    name: spec.name,
    session,
    limits: { ...limits, encoderWidth, ...cache },
    scheduler: new Scheduler({
      ...limits,
      spareSlots,
      stepTokens,
      prefillChunk,
      hasEqualRows: session.hasEqualRows,
      packs: session.packs,
      ...(memory && { memory }),
    }),
    times: new StepTimes(stepMs, session.packs),
    promptLookup: context.options.promptLookup,
    draft: draft?.draft ?? null,
    model: { tokenizer, eosTokens: eos, decoderStart: hasEncoder ? decoderStart : null },
    clock: context.clock,
    onFault: (error) => context.onFault(spec.name, error),
    onClosed: () => {
      if (isNative) forgetTokenBytes(spec.name);
      release();
      draft?.release();
    },
  });
}

/** Bytes of its draft's weights. */
async function draftWeights({ draft }: ModelSpec): Promise<number> {
  // A draft that cannot be read fails where it is opened.
  const manifest = draft && (await readManifest(draft.folder).catch(() => null));
  return manifest ? weightsBytes(manifest, draft.folder) : 0;
}

/**
 * @param kept bytes that its cache leaves for a draft, unless the operator has set the cache's size, or that would take
 *   more than half of it: a draft only makes the model faster
 */
async function openModel(
  spec: Pick<ModelSpec, 'folder' | 'cacheMemory'>,
  context: LoadContext,
  kept = 0,
): Promise<Opened> {
  const { threads, prefillChunk } = context.options;
  const manifest = await readManifest(spec.folder);
  if (manifest.graphs.encoder !== null && manifest.specialTokens.decoderStart === null) {
    throw new ConfigurationError(
      `${spec.folder}: the manifest has no decoderStart token, which an encoder-decoder model needs; ` +
        'set decoder_start_token_id in generation_config.json and export again.',
    );
  }
  const options = { ...context.options, cacheMemory: spec.cacheMemory ?? context.options.cacheMemory };
  const plan = await planMemory(manifest, spec.folder, options, {
    cacheBudget: (weights, usual) => {
      const [alone, beside] = [0, kept].map((more) => context.memory.cacheBudget(weights + more, usual));
      return 2 * beside! >= alone! ? beside! : alone!;
    },
  });
  const { need, layers, int8Cache, maxContext, slotCapacity } = plan;
  const { slots } = need;
  const release = context.memory.reserve(need);
  const memory = need.isGrowing
    ? new CacheMemory({ budget: need.cache, layers, slots, chunk: prefillChunk })
    : undefined;
  const capacity = memory?.longest(slotCapacity) ?? slotCapacity;
  try {
    if (capacity < Math.min(minContext, slotCapacity)) {
      throw new ConfigurationError(
        `${spec.folder}: a cache of ${need.cache} bytes has room for a sequence of ${capacity} tokens. ` +
          'Raise ALTUP_CACHE_MEMORY, or give the service more memory.',
      );
    }
    const memoryLimit = context.memory.besidesCache(need);
    const sizes = { folder: spec.folder, slots, maxContext, threads, int8Cache, memoryLimit };
    const session = await context.openSession(sizes);
    try {
      await tryModel(session, manifest, spec.folder);
    } catch (error) {
      // The first error says what is wrong with the model.
      await session.close().catch(() => {});
      throw error;
    }
    return { manifest, plan, session, memory, capacity, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** @returns null if it cannot be opened: its model then generates without it */
async function openDraft(
  { name, draft: spec }: ModelSpec,
  model: Opened,
  context: LoadContext,
): Promise<{ draft: Draft; release: () => void } | null> {
  if (spec === undefined) return null;
  const onFault = (error: unknown) => {
    const what = `its draft ${spec.name} failed and stays off until the model is loaded again`;
    context.onFault(name, `${what}: ${errorDetail(error)}`);
  };
  try {
    const { manifest, plan, session, release } = await openModel(spec, context);
    const draft = new Draft({
      session,
      timed: new TimedSession(session, new StepTimes(context.options.stepMs, session.packs), context.clock),
      positions: plan.need.isGrowing
        ? Math.floor(plan.need.cache / cacheBytesPerToken(manifest, plan.int8Cache).own)
        : Number.POSITIVE_INFINITY,
      vocabSize: model.session.vocabSize,
      onFault,
    });
    return { draft, release };
  } catch (error) {
    onFault(error);
    return null;
  }
}
