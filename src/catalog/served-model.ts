import { ServiceError } from '../errors.ts';
import { type GenerationDefaults, noDefaults } from './generation-defaults.ts';
import type { Manifest, Precision } from './manifest.ts';
import type { TextWork } from './texts/text-workers.ts';
import type { Vocabulary } from './tokenizer/vocabulary.ts';

/** In the order of a model's life. `unloaded`: could be loaded; `unloading`: leaves once its requests have ended. */
export const modelStates = ['unloaded', 'loading', 'ready', 'unloading', 'restarting', 'failed'] as const;

/** A model's state. Only a ready model takes requests; one that is loaded on demand lets them wait. */
export type ModelState =
  | { state: 'unloaded' }
  | { state: 'loading' }
  | {
      state: 'ready';
      slots: number;
      capacity: number;
      encoderCapacity: number;
      /** Numbers in an embedding; 0 without an encoder. */
      encoderWidth: number;
      /** Maximum bytes of keys and values. */
      cacheBudget: number;
      /** The memory for keys and values, not the model, limits `capacity`. */
      isCacheLimit: boolean;
      /** Backend and execution provider that run its graphs. */
      runtime: { backend: string; executionProvider: string };
    }
  | { state: 'unloading' }
  /** Its engine died and should be ready again after `retryAfterSeconds`. */
  | { state: 'restarting'; retryAfterSeconds: number }
  | { state: 'failed'; message: string };

/** A model that clients can name. */
export interface ServedModel {
  /** `<id>` or `<id>:<precision>`. */
  readonly name: string;
  readonly id: string;
  readonly precision: Precision;
  /** null if the export itself failed. */
  readonly manifest: Manifest | null;
  /** `vocabulary` and `texts` are null until the checkpoint's tokenizer is read, and if reading it fails. */
  readonly vocabulary: Vocabulary | null;
  readonly texts: TextWork | null;
  readonly defaults: GenerationDefaults;
  /** When the service added the model, in seconds since the epoch. */
  readonly created: number;
  /** Bytes of its weights, of its keys and values at most, and of a draft; null until it is exported. */
  readonly memory: { weights: number; cache: number; draft?: number } | null;
  /** The service is not ready before this model: it was there at the start, or has been ready and not unloaded since. */
  readonly isRequired: boolean;
  state: ModelState;
}

/** A model of which nothing is known yet but its names. */
export const addedModel = (name: string, id: string, precision: Precision): ServedModel => ({
  name,
  id,
  precision,
  manifest: null,
  vocabulary: null,
  texts: null,
  defaults: noDefaults,
  memory: null,
  created: Math.floor(Date.now() / 1000),
  isRequired: false,
  state: { state: 'loading' },
});

/** How long a load takes as long as nobody knows better. */
export const usualLoadSeconds = 5;
/** When a client should try again if nothing is known. */
const unavailableSeconds = 60;

/** Bytes that a model takes while it is loaded; null until it is exported. */
export function memoryOf({ memory, state }: Pick<ServedModel, 'memory' | 'state'>): number | null {
  if (memory === null) return null;
  return memory.weights + (memory.draft ?? 0) + (state.state === 'ready' ? state.cacheBudget : memory.cache);
}

/**
 * The refusal of a request to a model that is not ready.
 * @param state null: the engine does not have the model
 * @param loadSeconds how long its load should take
 */
export function notReady(
  name: string,
  state: ModelState | null,
  loadSeconds = usualLoadSeconds,
): ServiceError {
  const refusal = (message: string, seconds: number) =>
    new ServiceError('not_ready', `The ${message}`, { retryAfterSeconds: seconds });
  switch (state?.state) {
    case 'unloaded':
    case 'unloading':
      return refusal(`model '${name}' waits to be loaded.`, loadSeconds);
    case 'loading':
      return refusal(`model '${name}' is loading.`, loadSeconds);
    case 'restarting':
      return refusal(`engine of the model '${name}' is being restarted.`, state.retryAfterSeconds);
    case 'failed':
      return refusal(`model '${name}' failed to load; see /health.`, unavailableSeconds);
    default:
      return refusal(`model '${name}' is not available.`, unavailableSeconds);
  }
}
