import type { Manifest } from '../catalog/manifest.ts';
import type { PromptTokenLogprobs, SampledToken } from '../sampling/sampled-token.ts';
import type { SamplingError } from '../sampling/sampling-error.ts';
import type { SamplingRequest } from '../sampling/sampling-request.ts';
import type { ExecutionProvider } from './execution-providers.ts';

/** Backend and execution provider that run a model's graphs. */
export interface Runtime {
  backend: 'native' | 'onnxruntime-node';
  /** As `ALTUP_EXECUTION_PROVIDER` names it. */
  executionProvider: ExecutionProvider;
}

/** Whether a decoder's cache takes memory only for the positions that are written, which `Session.trimSlot` frees. */
export const growsWithUse = ({ backend, executionProvider }: Runtime): boolean =>
  backend === 'native' && executionProvider === 'cpu' && process.platform === 'linux';

/** What a decoder-only model's cache holds: the export's type, or int8. */
export type CachePrecision = 'export' | 'int8';

/** Whether a model's cache holds int8: only our attention on the CPU reads that. */
export const hasInt8Cache = (
  { graphs }: Pick<Manifest, 'graphs'>,
  { backend, executionProvider }: Runtime,
  wanted: CachePrecision,
): boolean =>
  backend === 'native' && executionProvider === 'cpu' && graphs.encoder === null && wanted === 'int8';

/** Chooses a completion's tokens. Made by a session's `startSampling`, for that session only. */
export interface Sampling {
  /** Frees its resources: no more tokens are wanted. */
  end(): void;
  /** Whether no grammar restricts the next token. */
  isFree(): boolean;
  /**
   * A sampling that chooses what this one would choose from the same logits, with the same random numbers, but without its
   * grammar and log probabilities. It advances on its own, for a session whose vocabulary has all tokens of the request.
   */
  fork(): Sampling;
}

/** Requests log probabilities of given tokens, such as those of a prompt. */
export interface Scoring {
  /** `followers[i]` comes after the chunk's token i; the list may be shorter than the chunk. */
  followers: readonly number[];
  /** Number of alternatives to report with each token. */
  alternatives: number;
}

export interface PrefillResult {
  /** null without sampling. */
  sampled: SampledToken | null;
  /** One for each follower. */
  scores: readonly PromptTokenLogprobs[];
}

/** A slot's part in a decode step. */
export interface DecodeRow {
  /** The decoder's input token. */
  token: number;
  /** Positions of the slot that are already filled. */
  past: number;
  /** Chooses the next token; null when nobody wants one. */
  sampling: Sampling | null;
}

/** A slot's part in a step with several tokens for each slot. */
export interface Segment {
  slot: number;
  /** New tokens. */
  tokens: readonly number[];
  /** Positions of the slot that are already filled. */
  past: number;
  /** How many of the last tokens are a guess; less than all. */
  guessed: number;
  /** Chooses the token after these; null when nobody wants one. */
  sampling: Sampling | null;
}

/** A chosen token; why there is none; or `late`, if the request's grammar has not yet computed what it allows. */
export type Choice = SampledToken | SamplingError | 'late';

/**
 * The narrow interface between the engine and ONNX Runtime: one loaded model with a slot cache.
 *
 * A slot is one row of the cache, `capacity` positions long. The caller keeps the decoding slots contiguous from 0 (see
 * engine/scheduler/slot-table.ts), so that one ragged batch covers them. Calls never overlap: the engine awaits each
 * call before the next. Logits stay inside; only tokens come out.
 */
export interface Session {
  readonly runtime: Runtime;
  readonly slots: number;
  /** Decoder positions per slot. */
  readonly capacity: number;
  /** Encoder positions per slot; 0 for decoder-only models. */
  readonly encoderCapacity: number;
  /** Numbers in a final state of the encoder; 0 for decoder-only models. */
  readonly encoderWidth: number;
  readonly vocabSize: number;
  /**
   * A token gets the same bits in every chunk of a prompt, in a batch and alone, so it does not matter where prompts are
   * cut and which parts of them are cached.
   */
  readonly hasEqualRows: boolean;
  /** Whether `pack` is possible. */
  readonly packs: boolean;

  /** Encoder-decoder models: runs the encoder over `tokens` and keeps the cross-attention keys and values in `slot`. */
  encode(slot: number, tokens: readonly number[]): Promise<void>;

  /**
   * Encoder-decoder models: the mean of the encoder's final states over all of `tokens`. Needs no slot and changes none.
   * Each call runs the encoder on its own, so the numbers depend on nothing but `tokens`.
   * @returns an array with a buffer of its own
   * @throws Error if a number is not finite
   */
  embed(tokens: readonly number[]): Promise<Float32Array>;

  /**
   * Starts to choose the tokens of one completion. The sampling advances with each token that this session chooses.
   * @throws SamplingError if this session does not support the request
   */
  startSampling(request: SamplingRequest): Sampling;

  /**
   * Appends a chunk of `tokens` to `slot`, after its `past` filled positions.
   * @param sampling chooses the token after the chunk; null if more of the prompt follows
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
   * Decodes one token in each of the slots 0..rows.length-1 and chooses the next ones.
   * @returns by row: the token; the error if none could be chosen; `late` if the request's grammar has not yet computed
   * what it allows, so that the caller decodes the same row again; null for rows without sampling
   */
  decode(rows: readonly DecodeRow[]): Promise<(Choice | null)[]>;

  /**
   * Computes parts of several sequences in one run, which reads the weights once: chunks of prompts and decode rows, each
   * in its own slot. Only for sessions that pack, which choose the same tokens as with `prefill` and `decode`.
   * @returns by segment: the choice behind its tokens without the guess and, as long as the guess was right, behind each
   *   token of it; none without sampling. Only the first may be `late`
   */
  pack(segments: readonly Segment[]): Promise<Choice[][]>;

  /**
   * Like `pack`, but for a session that need not pack: segment i belongs to slot i, and all are padded to the longest one,
   * for which each slot needs free positions. With equal rows, it chooses the same tokens as `decode` one by one.
   */
  verify(segments: readonly Segment[]): Promise<Choice[][]>;

  /** Copies the first `length` decoder positions (and the encoder side) of slot `from` to slot `to`. */
  copySlot(from: number, to: number, length: number): void;

  /**
   * Frees the memory of `slot` behind its first `length` positions, and in layers with a window what only queries before
   * position `cut` read. A session that allocates its cache at once keeps it.
   */
  trimSlot(slot: number, length: number, cut: number): void;

  /** Frees the model and its cache. Never called while another call runs. */
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Folder with manifest.json and the graphs. */
  folder: string;
  slots: number;
  /** Maximum positions per slot; the model's own limit applies too. */
  maxContext: number;
  threads: number;
  /** Whether the cache holds int8, where `hasInt8Cache` allows it. */
  int8Cache?: boolean;
  /** Bytes for weights and intermediate results on a GPU. The caches are not part of it. */
  memoryLimit?: number;
}
