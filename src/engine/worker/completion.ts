import type { ErrorCode } from '../../errors.ts';
import type { Sampling } from '../../runtime/session.ts';
import type { SampledToken } from '../../sampling/sampled-token.ts';
import type { SamplingRequest } from '../../sampling/sampling-request.ts';
import {
  type AbortStage,
  type FinishReason,
  type GenerationEvent,
  type GenerationRequest,
  promptLength,
  type Timings,
} from '../protocol/generation.ts';
import { Detokenizer, StopStrings, type TokenBytes } from './output-text.ts';

/** The parts of a model that a completion needs. */
export interface CompletionModel {
  tokenizer: TokenBytes;
  /** The model's own end tokens. */
  eosTokens: readonly number[];
  /** First decoder token of an encoder-decoder model; null for decoder-only models, which continue the prompt. */
  decoderStart: number | null;
}

interface Finish {
  reason: FinishReason;
  stopReason: string | number | null;
}

/** One request while it generates: turns each token into events and decides when to stop. Times are in ms. */
export class Completion {
  readonly request: GenerationRequest;
  readonly samplingRequest: SamplingRequest;
  /** Belongs to the session; null until started. */
  sampling: Sampling | null = null;
  readonly timings: RequestTimings;
  /** Tokens that the decoder reads before it generates any. */
  readonly given: readonly number[];
  /** Token that the decoder reads next. */
  nextInput: number;
  readonly generated: number[] = [];
  readonly #eosTokens: ReadonlySet<number>;
  readonly #stopTokens: ReadonlySet<number>;
  readonly #detokenizer: Detokenizer;
  readonly #stopStrings: StopStrings;

  constructor(request: GenerationRequest, model: CompletionModel) {
    const { stop, skipSpecialTokens, promptTokens, completionPrefix } = request;
    const { decoderStart } = model;
    this.request = request;
    const eosTokens = stop.ignoreEos ? [] : model.eosTokens;
    this.samplingRequest = {
      parameters: request.sampling,
      promptTokens: [...promptTokens, ...completionPrefix],
      endTokens: [...eosTokens, ...stop.tokenIds],
      minTokens: stop.minTokens,
      logprobs: request.logprobs,
    };
    this.timings = new RequestTimings(request);
    this.given = decoderStart === null ? promptTokens : [decoderStart, ...completionPrefix];
    this.nextInput = decoderStart ?? -1;
    this.#eosTokens = new Set(eosTokens);
    this.#stopTokens = new Set(stop.tokenIds);
    const startsText = decoderStart !== null && completionPrefix.length === 0;
    this.#detokenizer = new Detokenizer(model.tokenizer, { skipSpecialTokens, startsText });
    this.#stopStrings = new StopStrings(stop.strings, stop.includeInOutput);
  }

  start(at: number): GenerationEvent {
    this.timings.started(at);
    return { type: 'started', id: this.request.id, at };
  }

  /**
   * Adds one generated token.
   * @param isFull the slot has no position left for another token
   * @returns the token's event, and the end event if this token is the last
   */
  take(
    { token, logprobs }: SampledToken,
    at: number,
    isFull: boolean,
  ): { tokens: GenerationEvent; end: GenerationEvent | null } {
    const { id } = this.request;
    this.nextInput = token;
    this.generated.push(token);
    this.timings.generated(1, at);
    const piece = this.#isHidden(token) ? '' : this.#detokenizer.add(token);
    const { text, matched } = this.#stopStrings.add(piece, this.#isSuspended);
    const tokens: GenerationEvent = {
      type: 'tokens',
      id,
      at,
      tokens: [token],
      text,
      logprobs: logprobs && [logprobs],
    };
    const finish = this.#finish(token, matched, isFull);
    const end = finish && this.#finished(finish, matched === null ? this.#rest() : '', at);
    return { tokens, end };
  }

  /** Ends a request that asks for no tokens. */
  finishEmpty(at: number): GenerationEvent {
    return this.#finished({ reason: 'length', stopReason: null }, '', at);
  }

  fail(code: ErrorCode, message: string, stage: AbortStage, at: number): GenerationEvent {
    return { type: 'failed', id: this.request.id, code, message, stage, timings: this.timings.finished(at) };
  }

  abort(stage: AbortStage, at: number): GenerationEvent {
    return { type: 'aborted', id: this.request.id, stage, timings: this.timings.finished(at) };
  }

  /** Stop strings are ignored in the text of the first minTokens tokens. */
  get #isSuspended(): boolean {
    return this.timings.generatedTokens <= this.request.stop.minTokens;
  }

  /** The text leaves out end tokens, except stop tokens if the request includes them in the output. */
  #isHidden(token: number): boolean {
    if (this.#eosTokens.has(token)) return true;
    return this.#stopTokens.has(token) && !this.request.stop.includeInOutput;
  }

  #finish(token: number, matched: string | null, isFull: boolean): Finish | null {
    if (this.#eosTokens.has(token)) return { reason: 'stop', stopReason: null };
    if (this.#stopTokens.has(token)) return { reason: 'stop', stopReason: token };
    if (matched !== null) return { reason: 'stop', stopReason: matched };
    const isLong = this.timings.generatedTokens >= this.request.maxTokens;
    return isLong || isFull ? { reason: 'length', stopReason: null } : null;
  }

  /** Returns the text held back, since no more can follow. */
  #rest(): string {
    const { text, matched } = this.#stopStrings.add(this.#detokenizer.flush(), this.#isSuspended);
    return matched === null ? text + this.#stopStrings.flush() : text;
  }

  #finished({ reason, stopReason }: Finish, text: string, at: number): GenerationEvent {
    const timings = this.timings.finished(at);
    return { type: 'finished', id: this.request.id, reason, stopReason, text, timings };
  }
}

type Timed = Pick<GenerationRequest, 'arrivedAt' | 'promptTokens' | 'completionPrefix'>;

/** Collects the times of one request; each keeps its first value. */
export class RequestTimings {
  generatedTokens = 0;
  cachedTokens = 0;
  readonly #request: Timed;
  #startedAt: number | null = null;
  #prefilledAt: number | null = null;
  #firstTokenAt: number | null = null;

  constructor(request: Timed) {
    this.#request = request;
  }

  get hasStarted(): boolean {
    return this.#startedAt !== null;
  }

  get hasPrefilled(): boolean {
    return this.#prefilledAt !== null;
  }

  started(at: number): void {
    this.#startedAt ??= at;
  }

  prefilled(at: number): void {
    this.#prefilledAt ??= at;
  }

  generated(count: number, at: number): void {
    this.#firstTokenAt ??= at;
    this.generatedTokens += count;
  }

  finished(at: number): Timings {
    return {
      arrivedAt: this.#request.arrivedAt,
      startedAt: this.#startedAt,
      prefilledAt: this.#prefilledAt,
      firstTokenAt: this.#firstTokenAt,
      finishedAt: at,
      promptTokens: promptLength(this.#request),
      cachedTokens: this.cachedTokens,
      generatedTokens: this.generatedTokens,
    };
  }
}
