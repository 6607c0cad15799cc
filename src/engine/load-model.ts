import { readManifest } from '../catalog/manifest-file.ts';
import { Vocabulary } from '../catalog/vocabulary.ts';
import { ConfigurationError } from '../errors.ts';
import { keepTokenBytes } from '../runtime/grammars/token-bytes.ts';
import type { Session, SessionOptions } from '../runtime/session.ts';
import type { Clock } from './clock.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { EngineOptions, ModelSpec } from './messages.ts';
import { ModelEngine } from './model-engine.ts';
import { modelMemory } from './model-memory.ts';
import { Scheduler } from './scheduler.ts';
import { tryModel } from './try-model.ts';

export interface LoadContext {
  options: EngineOptions;
  openSession(options: SessionOptions): Promise<Session>;
  memory: MemoryBudget;
  clock: Clock;
  onFault(model: string, error: unknown): void;
}

/**
 * Slots beyond those that one client may fill: a client that holds none gets one at once, however long the sequences of
 * another are. The price is the memory of a slot.
 */
const spareSlots = 1;

/** Makes one model ready to generate. @throws Error, its message naming the file at fault */
export async function loadModel(spec: ModelSpec, context: LoadContext): Promise<ModelEngine> {
  const { maxContext, threads, stepTokens, prefillChunk } = context.options;
  const slots = context.options.slots + spareSlots;
  const manifest = await readManifest(spec.folder);
  const tokenizer = new Vocabulary(spec.vocabulary);
  const hasEncoder = manifest.graphs.encoder !== null;
  const { eos, decoderStart } = manifest.specialTokens;
  if (hasEncoder && decoderStart === null) {
    throw new ConfigurationError(
      `${spec.folder}: the manifest has no decoderStart token, which an encoder-decoder model begins with; ` +
        'set decoder_start_token_id in generation_config.json and export again.',
    );
  }
  const release = context.memory.reserve(
    await modelMemory(manifest, { folder: spec.folder, slots, maxContext }),
  );
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
    capacity: Math.min(session.capacity, manifest.contextLength),
    encoderCapacity: hasEncoder
      ? Math.min(session.encoderCapacity, manifest.encoderContextLength ?? session.encoderCapacity)
      : 0,
  };
  return new ModelEngine({
    name: spec.name,
    session,
    limits,
    scheduler: new Scheduler({ ...limits, spareSlots, stepTokens, prefillChunk }),
    model: { tokenizer, eosTokens: eos, decoderStart: hasEncoder ? decoderStart : null },
    clock: context.clock,
    onFault: (error) => context.onFault(spec.name, error),
    onClosed: release,
  });
}
