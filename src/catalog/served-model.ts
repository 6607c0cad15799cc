import { ServiceError } from '../errors.ts';
import type { GenerationDefaults } from './generation-defaults.ts';
import type { Manifest, Precision } from './manifest.ts';
import type { TextWork } from './texts/text-workers.ts';
import type { Vocabulary } from './tokenizer/vocabulary.ts';

/** A model's state. Only a ready model takes requests. */
export type ModelState =
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
  /** The service is not ready before this model: it was there at the start, or has been ready once. */
  readonly isRequired: boolean;
  state: ModelState;
}

/** When a client should try again, seconds. */
const retryAfterSeconds = { loading: 5, unavailable: 60 };

/** The refusal of a request to a model that is not ready. @param state null: the engine does not have the model */
export function notReady(name: string, state: ModelState | null): ServiceError {
  const refusal = (message: string, seconds: number) =>
    new ServiceError('not_ready', `The ${message}`, { retryAfterSeconds: seconds });
  switch (state?.state) {
    case 'loading':
      return refusal(`model '${name}' is loading.`, retryAfterSeconds.loading);
    case 'restarting':
      return refusal(`engine of the model '${name}' is being restarted.`, state.retryAfterSeconds);
    case 'failed':
      return refusal(`model '${name}' failed to load; see /health.`, retryAfterSeconds.unavailable);
    default:
      return refusal(`model '${name}' is not available.`, retryAfterSeconds.unavailable);
  }
}
