import type { ErrorCode } from '../../errors.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { SamplingParameters } from '../../sampling/sampling-request.ts';

export interface StopConditions {
  strings: readonly string[];
  tokenIds: readonly number[];
  /** Keep the stop string that matched in the text. */
  includeInOutput: boolean;
  /** Go on past the model's end-of-sequence tokens. */
  ignoreEos: boolean;
  /** No stop before this many tokens: end tokens are masked, stop strings not looked at. */
  minTokens: number;
}

/** One sequence to generate. `n` choices of one prompt are n of these. */
export interface GenerationRequest {
  id: string;
  /** Model name as served, `<id>` or `<id>:<precision>`, resolved to the engine's key. */
  model: string;
  promptTokens: readonly number[];
  /** Encoder-decoder models: what the decoder goes on from, after its start token. */
  completionPrefix: readonly number[];
  maxTokens: number;
  sampling: SamplingParameters;
  /** The same request gives the same numbers, to the last bit: nothing it computes depends on the load or the cache. */
  isReproducible: boolean;
  stop: StopConditions;
  /** null: none; else how many alternatives to report with each token (0: the token's own only). */
  logprobs: number | null;
  /** The same for the tokens that the decoder is given: the prompt's, or an encoder-decoder model's `completionPrefix`. */
  promptLogprobs: number | null;
  /** Leave special tokens out of the text. */
  skipSpecialTokens: boolean;
  /** Lower runs sooner. */
  priority: number;
  /** Whose it is: slots are shared out fairly between clients. The empty string where clients are not told apart. */
  client: string;
  /** Only requests with the same one may share what was computed for a prompt. */
  cacheSalt: string;
  /** On the shared clock (engine/protocol/clock.ts), milliseconds. */
  arrivedAt: number;
  /** When its prompt's tokens were known and it joined the queue. */
  queuedAt: number;
  /** Latest moment to leave the queue. */
  queueDeadline: number;
  /** Latest moment to finish. */
  deadline: number;
}

/** Tokens of a request that are read, not generated. */
export const promptLength = ({
  promptTokens,
  completionPrefix,
}: Pick<GenerationRequest, 'promptTokens' | 'completionPrefix'>): number =>
  promptTokens.length + completionPrefix.length;

export type FinishReason = 'stop' | 'length';
/** Where a request was when it was given up. */
export type AbortStage = 'queued' | 'prefill' | 'decode';

/** Moments on the shared clock, milliseconds; null when not reached. */
export interface Timings {
  arrivedAt: number;
  startedAt: number | null;
  prefilledAt: number | null;
  firstTokenAt: number | null;
  finishedAt: number;
  promptTokens: number;
  /** Of the prompt's, those taken over from another request. */
  cachedTokens: number;
  generatedTokens: number;
}

/** What the engine says of one request, in order: started, scored…, tokens…, then one of finished, failed, aborted. */
export type GenerationEvent =
  | { type: 'started'; id: string; at: number }
  /** The next of the tokens that the decoder is given, where asked; null for a first one, which nothing comes before. */
  | { type: 'scored'; id: string; logprobs: readonly (PromptTokenLogprobs | null)[] }
  | {
      type: 'tokens';
      id: string;
      at: number;
      tokens: readonly number[];
      /** Text that became final with these tokens; may be empty while a character or a stop string is incomplete. */
      text: string;
      logprobs: readonly TokenLogprobs[] | null;
    }
  | {
      type: 'finished';
      id: string;
      reason: FinishReason;
      /** The stop string or token id that matched, null for length and the model's own end token. */
      stopReason: string | number | null;
      /** Text held back until now. */
      text: string;
      timings: Timings;
    }
  | { type: 'failed'; id: string; code: ErrorCode; message: string; stage: AbortStage; timings: Timings }
  | { type: 'aborted'; id: string; stage: AbortStage; timings: Timings };

/** How a request ended. */
export type EndEvent = Extract<GenerationEvent, { type: 'finished' | 'failed' | 'aborted' }>;

export const isEnd = (event: GenerationEvent): event is EndEvent =>
  event.type === 'finished' || event.type === 'failed' || event.type === 'aborted';
