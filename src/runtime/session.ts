import type { PromptTokenLogprobs, SampledToken } from '../sampling/sampled-token.ts';
import type { SamplingError } from '../sampling/sampling-error.ts';
import type { SamplingRequest } from '../sampling/sampling-request.ts';

/** What runs a model's graphs. */
export interface Runtime {
  backend: 'native' | 'onnxruntime-node';
  /** As `ALTUP_EXECUTION_PROVIDER` names it. */
  executionProvider: 'cpu' | 'cuda' | 'tensorrt' | 'webgpu';
}

/** Made by a session's `startSampling`, and of use to that session alone. */
export interface Sampling {
  /** No token is wanted any more: frees what it holds. */
  end(): void;
}

/** Log probabilities of given tokens, as a prompt has them. */
export interface Scoring {
  /** `followers[i]` comes after the chunk's token i; as many as are wanted, from the first on. */
  followers: readonly number[];
  /** How many alternatives to report with each. */
  alternatives: number;
}

export interface PrefillResult {
  /** null without sampling. */
  sampled: SampledToken | null;
  /** Of each follower. */
  scores: readonly PromptTokenLogprobs[];
}

/** A slot's next step. */
export interface DecodeRow {
  /** What the decoder reads. */
  token: number;
  /** Positions of the slot that are already filled. */
  past: number;
  /** Chooses the token after it; null when nobody wants one. */
  sampling: Sampling | null;
}

/**
 * The narrow waist between the engine and ONNX Runtime: one loaded model with a slot cache.
 *
 * A slot is one row of the cache, `capacity` positions long. Slots that decode are kept contiguous from 0
 * by the caller (see engine/scheduler/slot-table.ts), so that one ragged batch covers them. Calls never overlap: the
 * engine awaits each before the next. Logits stay inside: tokens come out.
 */
export interface Session {
  readonly runtime: Runtime;
  readonly slots: number;
  /** Decoder positions a slot holds. */
  readonly capacity: number;
  /** Encoder positions a slot holds; 0 for decoder-only models. */
  readonly encoderCapacity: number;
  readonly vocabSize: number;

  /** Encoder-decoder models: runs the encoder over `tokens` and keeps the cross-attention keys and values in `slot`. */
  encode(slot: number, tokens: readonly number[]): Promise<void>;

  /**
   * What the tokens of one completion are chosen by. It goes on with each token that this session chooses with it.
   * @throws SamplingError for what this session cannot do
   */
  startSampling(request: SamplingRequest): Sampling;

  /**
   * Appends a chunk of `tokens` to `slot`, whose first `past` positions are already filled.
   * @param sampling chooses the token after the chunk; null while the prompt goes on
   * @throws SamplingError
   */
  prefill(
    slot: number,
    tokens: readonly number[],
    past: number,
    sampling: Sampling | null,
    scoring?: Scoring,
  ): Promise<PrefillResult>;

  /**
   * One token for each of the slots 0..rows.length-1, and the choice of the next.
   * @returns by row: the token; why none could be chosen; `late` where it is not known yet what the request's grammar
   * allows, so that the same row is to be decoded again; null for rows without sampling
   */
  decode(rows: readonly DecodeRow[]): Promise<(SampledToken | SamplingError | 'late' | null)[]>;

  /** Makes slot `to` a copy of the first `length` decoder positions (and the encoder side) of slot `from`. */
  copySlot(from: number, to: number, length: number): void;

  /** Frees the model and its cache. Never called while another call runs. */
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Folder with manifest.json and the graphs. */
  folder: string;
  slots: number;
  /** Upper bound on positions per slot; the model's own limit applies too. */
  maxContext: number;
  threads: number;
}
