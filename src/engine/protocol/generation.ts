import type { ErrorCode } from '../../errors.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { SamplingParameters } from '../../sampling/sampling-request.ts';

export interface StopConditions {
  strings: readonly string[];
  tokenIds: readonly number[];
  /** Keep the matched stop string in the text. */
  includeInOutput: boolean;
  /** Continue after the model's end-of-sequence tokens. */
  ignoreEos: boolean;
  /** Minimum tokens before a stop: until then end tokens are masked and stop strings ignored. */
  minTokens: number;
}

/** What each request to the engine has, whatever it asks of its model. */
interface QueuedRequest {
  id: string;
  /** Model name as served, `<id>` or `<id>:<precision>`, resolved to the engine's key. */
  model: string;
  promptTokens: readonly number[];
  /** Lower values run sooner. */
  priority: number;
  /** The client that sent it; clients share the model fairly. Empty when clients are not distinguished. */
  client: string;
  /** Milliseconds on the shared clock (engine/protocol/clock.ts), as all times below. */
  arrivedAt: number;
  /** When it was ready for the queue: its prompt tokenized, its grammar compiled. */
  queuedAt: number;
  /** Latest time to leave the queue. */
  queueDeadline: number;
  /** Latest time to finish. */
  deadline: number;
}

/** One prompt for an encoder, whose final states the answer is the mean of. It needs no slot. */
export interface EmbeddingRequest extends QueuedRequest {
  task: 'embed';
}

/** One sequence to generate. `n` choices of one prompt are n requests. */
export interface GenerationRequest extends QueuedRequest {
  task: 'generate';
  /** Encoder-decoder models: tokens that the decoder reads after its start token and continues. */
  completionPrefix: readonly number[];
  maxTokens: number;
  sampling: SamplingParameters;
  /** The same request always gives bit-identical numbers: nothing it computes depends on load or cache. */
  isReproducible: boolean;
  stop: StopConditions;
  /** Number of alternatives to report with each token; 0: only the token's own; null: no log probabilities. */
  logprobs: number | null;
  /** The same for the tokens given to the decoder: the prompt, or an encoder-decoder model's `completionPrefix`. */
  promptLogprobs: number | null;
  /** Leave special tokens out of the text. */
  skipSpecialTokens: boolean;
  /**
   * What to write for these special tokens instead: characters from U+FDD0 to U+FDEF, which Unicode keeps for such
   * purposes and no other token can then write.
   */
  specialTexts: ReadonlyMap<number, string>;
  /** Only requests with the same salt may reuse each other's computed prompts. */
  cacheSalt: string;
}

export type EngineRequest = GenerationRequest | EmbeddingRequest;

/** What a request gives the model to read. */
export type GivenTokens = Pick<GenerationRequest, 'promptTokens'> &
  Partial<Pick<GenerationRequest, 'completionPrefix'>>;

/** Number of tokens that a request gives the model to read. */
export const promptLength = ({ promptTokens, completionPrefix = [] }: GivenTokens): number =>
  promptTokens.length + completionPrefix.length;

/** Where a guess of the next tokens comes from: the sequence's own text (prompt lookup), or a draft model. */
export type GuessSource = 'prompt' | 'draft';

export type FinishReason = 'stop' | 'length';
/** Where a request was when it was aborted or failed. */
export type AbortStage = 'queued' | 'prefill' | 'decode';

/**
 * Events of one request, in order: started, reused, scored…, prefilled, tokens… and guessed…, then one of finished,
 * embedded, failed, aborted.
 */
export type GenerationEvent =
  | { type: 'started'; id: string; at: number }
  /** This many prompt tokens are taken over from another request, if any are. */
  | { type: 'reused'; id: string; tokens: number }
  /** Log probabilities of the next given tokens, if requested; null for a first token, which has no context. */
  | { type: 'scored'; id: string; logprobs: readonly (PromptTokenLogprobs | null)[] }
  /** The model checked so many guessed tokens; so many were right, whose tokens come with the next events. */
  | { type: 'guessed'; id: string; source: GuessSource; tokens: number; right: number }
  /** All tokens given to the model are computed. */
  | { type: 'prefilled'; id: string; at: number }
  | {
      type: 'tokens';
      id: string;
      at: number;
      tokens: readonly number[];
      /** Text that these tokens made final; may be empty while a character or a stop string is incomplete. */
      text: string;
      logprobs: readonly TokenLogprobs[] | null;
    }
  | {
      type: 'finished';
      id: string;
      at: number;
      reason: FinishReason;
      /** The stop string or token id that matched; null for length and the model's own end token. */
      stopReason: string | number | null;
      /** Text held back until now. */
      text: string;
    }
  /** An embedding request is done. */
  | { type: 'embedded'; id: string; at: number; embedding: Float32Array }
  | { type: 'failed'; id: string; at: number; code: ErrorCode; message: string; stage: AbortStage }
  | { type: 'aborted'; id: string; at: number; stage: AbortStage };

const ends = ['finished', 'embedded', 'failed', 'aborted'] as const;

export type EndEvent = Extract<GenerationEvent, { type: (typeof ends)[number] }>;

export const isEnd = (event: GenerationEvent): event is EndEvent =>
  (ends as readonly string[]).includes(event.type);
