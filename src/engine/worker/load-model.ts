import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheBytesPerToken, cacheLayers } from '../../catalog/cache-bytes.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import { readManifest } from '../../catalog/manifest-file.ts';
import { Vocabulary } from '../../catalog/tokenizer/vocabulary.ts';
import { ConfigurationError } from '../../errors.ts';
import { keepTokenBytes } from '../../runtime/grammars/token-bytes.ts';
import { growsWithUse, type Session, type SessionOptions } from '../../runtime/session.ts';
import { SamplingError } from '../../sampling/sampling-error.ts';
import { greedy } from '../../sampling/sampling-request.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EngineOptions, ModelSpec } from '../protocol/messages.ts';
import { CacheMemory } from '../scheduler/cache-memory.ts';
import { Scheduler } from '../scheduler/scheduler.ts';
import { StepTimes } from '../scheduler/step-times.ts';
import type { MemoryBudget, MemoryNeed } from './memory-budget.ts';
import { ModelEngine } from './model-engine.ts';

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

/**
 * Slots beyond those that one client may fill. A client that holds none gets one at once, however long another client's
 * sequences are.
 */
const spareSlots = 1;

/** Default for a cache whose memory is allocated at once. Others get by default the memory that this would take. */
const maxAllocatedContext = 2048;
/** Fewer tokens are of no use. */
const minContext = 16;

/** Makes one model ready to generate. @throws Error that names the file at fault */
export async function loadModel(spec: ModelSpec, context: LoadContext): Promise<ModelEngine> {
  const { threads, stepTokens, stepMs, prefillChunk, runtime } = context.options;
  const slots = context.options.slots + spareSlots;
  const manifest = await readManifest(spec.folder);
  const tokenizer = new Vocabulary(spec.vocabulary);
  const hasEncoder = manifest.graphs.encoder !== null;
  const { eos, decoderStart } = manifest.specialTokens;
  if (hasEncoder && decoderStart === null) {
    throw new ConfigurationError(
      `${spec.folder}: the manifest has no decoderStart token, which an encoder-decoder model needs; ` +
        'set decoder_start_token_id in generation_config.json and export again.',
    );
  }
  const isGrowing = growsWithUse(runtime) && !hasEncoder;
  const maxContext = context.options.maxContext ?? (isGrowing ? manifest.contextLength : maxAllocatedContext);
  const need = await modelMemory(manifest, { folder: spec.folder, slots, maxContext });
  const slotCapacity = Math.min(maxContext, manifest.contextLength);
  const layers = cacheLayers(manifest);
  if (isGrowing) {
    const one = new CacheMemory({ budget: 0, layers, slots, chunk: prefillChunk }).reservation(slotCapacity);
    const usual = Math.max(one, need.cache * Math.min(1, maxAllocatedContext / slotCapacity));
    const wanted = context.options.cacheMemory ?? context.memory.cacheBudget(need.weights, Math.ceil(usual));
    need.cache = Math.min(need.cache, wanted);
  }
  const release = context.memory.reserve({ ...need, isGrowing });
  const memory = isGrowing
    ? new CacheMemory({ budget: need.cache, layers, slots, chunk: prefillChunk })
    : undefined;
  const capacity = memory?.longest(slotCapacity) ?? slotCapacity;
  if (capacity < Math.min(minContext, slotCapacity)) {
    release();
    throw new ConfigurationError(
      `${spec.folder}: a cache of ${need.cache} bytes has room for a sequence of ${capacity} tokens. ` +
        'Raise ALTUP_CACHE_MEMORY, or give the service more memory.',
    );
  }
  const session = await context
    .openSession({ folder: spec.folder, slots, maxContext, threads })
    .catch((error) => {
      release();
      throw error;
    });
  await tryModel(session, manifest, spec.folder).catch(async (error) => {
    await session.close();
    release();
    throw error;
  });
  if (session.runtime.backend === 'native') keepTokenBytes(spec.name, tokenizer, session.vocabSize, eos);
  const limits = {
    slots: session.slots,
    capacity,
    encoderCapacity: hasEncoder
      ? Math.min(session.encoderCapacity, manifest.encoderContextLength ?? session.encoderCapacity)
      : 0,
  };
  const cache = { cacheBudget: need.cache, isCacheLimit: capacity < slotCapacity };
  return new ModelEngine({
    name: spec.name,
    session,
    limits: { ...limits, ...cache },
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
    model: { tokenizer, eosTokens: eos, decoderStart: hasEncoder ? decoderStart : null },
    clock: context.clock,
    onFault: (error) => context.onFault(spec.name, error),
    onClosed: release,
  });
}

/** Memory that a model needs, from the sizes of its files and the shape of its cache. @param folder the export's */
export async function modelMemory(
  manifest: Manifest,
  { folder, slots, maxContext }: { folder: string; slots: number; maxContext: number },
): Promise<Omit<MemoryNeed, 'isGrowing'>> {
  const capacity = Math.min(maxContext, manifest.contextLength);
  const encoderCapacity = Math.min(maxContext, manifest.encoderContextLength ?? 0);
  const { own, cross } = cacheBytesPerToken(manifest);
  const graphs = Object.values(manifest.graphs).filter((file) => file !== null);
  const sizes = await Promise.all(
    graphs.flatMap((file) => [file, `${file}.data`]).map((file) => sizeOf(join(folder, file))),
  );
  return {
    weights: sizes.reduce((sum, size) => sum + size, 0),
    cache: slots * (capacity * own + encoderCapacity * cross),
    slots,
    positions: capacity + encoderCapacity,
  };
}

/** 0 when the file is missing: small graphs have no external data. */
async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => null))?.size ?? 0;
}
