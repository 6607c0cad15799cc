import type { Sampling } from '../../runtime/session.ts';
import type { SampledToken } from '../../sampling/sampled-token.ts';
import type { SamplingRequest } from '../../sampling/sampling-request.ts';
import type { EndEvent, FinishReason, GenerationEvent, GenerationRequest } from '../protocol/generation.ts';
import { type Guess, PromptLookup } from './guesses/prompt-lookup.ts';
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
  /** Whether all tokens given to the model are computed. */
  isPrefilled = false;
  /** Tokens that the decoder reads before it generates any. */
  readonly given: readonly number[];
  /** Token that the decoder reads next. */
  nextInput: number;
  readonly generated: number[] = [];
  /** Once it has decoded alone. */
  #lookup: PromptLookup | null = null;
  readonly #eosTokens: ReadonlySet<number>;
  readonly #stopTokens: ReadonlySet<number>;
  readonly #detokenizer: Detokenizer;
  readonly #stopStrings: StopStrings;

  constructor(request: GenerationRequest, model: CompletionModel) {
    const { stop, skipSpecialTokens, specialTexts, promptTokens, completionPrefix } = request;
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
    this.given = decoderStart === null ? promptTokens : [decoderStart, ...completionPrefix];
    this.nextInput = decoderStart ?? -1;
    this.#eosTokens = new Set(eosTokens);
    this.#stopTokens = new Set(stop.tokenIds);
    const startsText = decoderStart !== null && completionPrefix.length === 0;
    this.#detokenizer = new Detokenizer(model.tokenizer, { skipSpecialTokens, specialTexts, startsText });
    this.#stopStrings = new StopStrings(stop.strings, stop.includeInOutput);
  }

  /** The request asks for no tokens and no scores. */
  get isEmpty(): boolean {
    return this.request.maxTokens < 1 && this.request.promptLogprobs === null;
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
  ): { tokens: GenerationEvent; end: EndEvent | null } {
    const { id } = this.request;
    this.nextInput = token;
    this.generated.push(token);
    this.#lookup?.add(token);
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

  /**
   * Whether its next tokens may be guessed. A grammar's mask for a guess would come too late, so nothing is guessed while
   * a grammar restricts the text.
   */
  get isFree(): boolean {
    return this.request.sampling.grammar === null || this.sampling!.isFree();
  }

  /** A guess of up to `room` next tokens from its own text; none if nothing suggests one. */
  guess(room: number): Guess {
    const { promptTokens, completionPrefix } = this.request;
    this.#lookup ??= new PromptLookup([...promptTokens, ...completionPrefix, ...this.generated]);
    return this.#lookup.guess(room);
  }

  /** Records how many tokens of a guess were right. */
  verified(guessed: number, right: number): void {
    this.#lookup?.verified(guessed, right);
  }

  /** Ends a request that asks for no tokens. */
  finishEmpty(at: number): EndEvent {
    return this.#finished({ reason: 'length', stopReason: null }, '', at);
  }

  /** Stop strings are ignored in the text of the first minTokens tokens. */
  get #isSuspended(): boolean {
    return this.generated.length <= this.request.stop.minTokens;
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
    const isLong = this.generated.length >= this.request.maxTokens;
    return isLong || isFull ? { reason: 'length', stopReason: null } : null;
  }

  /** Returns the text held back, since no more can follow. */
  #rest(): string {
    const { text, matched } = this.#stopStrings.add(this.#detokenizer.flush(), this.#isSuspended);
    return matched === null ? text + this.#stopStrings.flush() : text;
  }

  #finished(finish: Finish, text: string, at: number): EndEvent {
    return { type: 'finished', id: this.request.id, at, ...finish, text };
  }
}
