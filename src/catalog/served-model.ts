import type { GenerationDefaults } from './generation-defaults.ts';
import type { Manifest, Precision } from './manifest.ts';
import type { TextWork } from './texts/model-texts.ts';
import type { Vocabulary } from './tokenizer/vocabulary.ts';

/** Where a model stands: only a ready one takes requests. */
export type ModelState =
  | { state: 'loading' }
  | {
      state: 'ready';
      slots: number;
      capacity: number;
      encoderCapacity: number;
      /** What runs its graphs. */
      runtime: { backend: string; executionProvider: string };
    }
  /** Its engine has died; `retryAfterSeconds`: when it should be ready again. */
  | { state: 'restarting'; retryAfterSeconds: number }
  | { state: 'failed'; message: string };

/** A model clients can name. */
export interface ServedModel {
  /** `<id>` or `<id>:<precision>`. */
  readonly name: string;
  readonly id: string;
  readonly precision: Precision;
  /** null where the export itself failed. */
  readonly manifest: Manifest | null;
  /** null until the checkpoint's tokenizer has been read, and where that failed; `texts` likewise. */
  readonly vocabulary: Vocabulary | null;
  readonly texts: TextWork | null;
  readonly defaults: GenerationDefaults;
  /** Seconds since the epoch at which the service took it up. */
  readonly created: number;
  /** The service is not ready before it: a model of the start, or one that has ever been ready. */
  readonly isRequired: boolean;
  state: ModelState;
}
