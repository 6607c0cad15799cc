import type { ErrorCode } from '../../errors.ts';
import type { Sampling } from '../../runtime/session.ts';
import type { PromptTokenLogprobs, SampledToken } from '../../sampling/sampled-token.ts';
import { GrammarFaultError, NoTokenAllowedError, SamplingError } from '../../sampling/sampling-error.ts';
import type { SamplingRequest } from '../../sampling/sampling-request.ts';
import type { Clock } from '../protocol/clock.ts';
import type {
  AbortStage,
  EndEvent,
  FinishReason,
  GenerationEvent,
  GenerationRequest,
} from '../protocol/generation.ts';
import { Detokenizer, StopStrings, type TokenBytes } from './output-text.ts';
import { type Guess, noGuess, PromptLookup } from './prompt-lookup.ts';

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
   * A guess of the next tokens; none if nothing suggests one. A grammar's mask for a guess would come too late, so
   * nothing is guessed while a grammar restricts the text.
   * @param room positions that the slot has behind the next token
   */
  guess(room: number): Guess {
    const { promptTokens, completionPrefix, sampling, maxTokens } = this.request;
    if (sampling.grammar !== null && !this.sampling!.isFree()) return noGuess;
    this.#lookup ??= new PromptLookup([...promptTokens, ...completionPrefix, ...this.generated]);
    return this.#lookup.guess(Math.min(room, maxTokens - this.generated.length - 1));
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

interface EndedCompletion {
  id: string;
  /** null: its slot's contents cannot be trusted. */
  generated: readonly number[] | null;
}

/** The open completions of one model, and their events to report after the step. */
export class OpenCompletions {
  readonly #clock: Clock;
  readonly #onFault: (error: unknown) => void;
  readonly #open = new Map<string, Completion>();
  #ended: EndedCompletion[] = [];
  #events: GenerationEvent[] = [];

  /** @param onFault receives causes; clients get a message without details */
  constructor(clock: Clock, onFault: (error: unknown) => void) {
    this.#clock = clock;
    this.#onFault = onFault;
  }

  get ids(): string[] {
    return [...this.#open.keys()];
  }

  /** Undefined once ended. */
  get(id: string): Completion | undefined {
    return this.#open.get(id);
  }

  add(completion: Completion): void {
    this.#open.set(completion.request.id, completion);
  }

  start(id: string): void {
    this.#events.push({ type: 'started', id, at: this.#clock() });
  }

  /** @param tokens of its prompt, taken over from another request */
  reuse(id: string, tokens: number): void {
    this.#events.push({ type: 'reused', id, tokens });
  }

  prefilled(completion: Completion): void {
    completion.isPrefilled = true;
    this.#events.push({ type: 'prefilled', id: completion.request.id, at: this.#clock() });
  }

  guessed(id: string, tokens: number, right: number): void {
    this.#events.push({ type: 'guessed', id, tokens, right });
  }

  score(id: string, logprobs: readonly (PromptTokenLogprobs | null)[]): void {
    this.#events.push({ type: 'scored', id, logprobs });
  }

  /** @param isFull the slot has no position left for another token */
  advance(completion: Completion, sampled: SampledToken, isFull: boolean): void {
    const { tokens, end } = completion.take(sampled, this.#clock(), isFull);
    this.#events.push(tokens);
    if (end) this.#end(completion, end);
  }

  finishEmpty(completion: Completion): void {
    this.#end(completion, completion.finishEmpty(this.#clock()));
  }

  abort(id: string, stage: AbortStage): void {
    const completion = this.#open.get(id);
    if (completion) this.#end(completion, { type: 'aborted', id, at: this.#clock(), stage });
  }

  /** @param isSound whether its slot's contents can be trusted */
  fail(id: string, code: ErrorCode, message: string, stage: AbortStage, isSound = true): void {
    const completion = this.#open.get(id);
    if (!completion) return;
    this.#end(completion, { type: 'failed', id, at: this.#clock(), code, message, stage }, isSound);
  }

  /** Fails the open completions among `ids` because of an error thrown inside the engine. */
  breakDown(ids: readonly string[], error: unknown): void {
    const isRequests = error instanceof NoTokenAllowedError || error instanceof GrammarFaultError;
    if (!isRequests) this.#onFault(error);
    const isNamed = error instanceof SamplingError;
    const message = isNamed ? error.message : 'The model failed while it ran the request.';
    for (const id of ids) {
      const isPrefilled = this.#open.get(id)?.isPrefilled ?? false;
      const code = isRequests ? 'invalid_request' : 'engine_failure';
      this.fail(id, code, message, isPrefilled ? 'decode' : 'prefill', isRequests && isPrefilled);
    }
  }

  /** Completions that ended since the last call. */
  takeEnded(): EndedCompletion[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  takeEvents(): GenerationEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #end(completion: Completion, event: EndEvent, isSound = true): void {
    const { request, generated } = completion;
    this.#events.push(event);
    this.#open.delete(request.id);
    completion.sampling?.end();
    this.#ended.push({ id: request.id, generated: isSound ? generated : null });
  }
}
