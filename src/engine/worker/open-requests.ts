import type { ErrorCode } from '../../errors.ts';
import type { PromptTokenLogprobs, SampledToken } from '../../sampling/sampled-token.ts';
import { GrammarFaultError, NoTokenAllowedError, SamplingError } from '../../sampling/sampling-error.ts';
import type { Clock } from '../protocol/clock.ts';
import type {
  AbortStage,
  EmbeddingRequest,
  EndEvent,
  GenerationEvent,
  GuessSource,
} from '../protocol/generation.ts';
import { Completion } from './completion.ts';

interface EndedCompletion {
  id: string;
  /** null: its slot's contents cannot be trusted. */
  generated: readonly number[] | null;
}

/** The open completions and embedding requests of one model, and their events to report after the step. */
export class OpenRequests {
  readonly #clock: Clock;
  readonly #onFault: (error: unknown) => void;
  readonly #open = new Map<string, Completion | EmbeddingRequest>();
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

  /** Undefined once ended, and for an embedding request. */
  completion(id: string): Completion | undefined {
    const open = this.#open.get(id);
    return open instanceof Completion ? open : undefined;
  }

  add(opened: Completion | EmbeddingRequest): void {
    this.#open.set(opened instanceof Completion ? opened.request.id : opened.id, opened);
  }

  start(id: string): void {
    this.#events.push({ type: 'started', id, at: this.#clock() });
  }

  /** Computes with `run`, unless the request has ended. Its failure ends only this request. */
  async attempt(id: string, run: (completion: Completion) => Promise<void>): Promise<void> {
    const completion = this.completion(id);
    if (!completion) return;
    try {
      await run(completion);
    } catch (error) {
      this.breakDown([id], error);
    }
  }

  /** The same for an embedding request. @param run returns the embedding of the prompt */
  async attemptEmbedding(
    id: string,
    run: (prompt: readonly number[]) => Promise<Float32Array>,
  ): Promise<void> {
    const request = this.#open.get(id);
    if (!request || request instanceof Completion) return;
    try {
      const embedding = await run(request.promptTokens);
      this.#end(request, { type: 'embedded', id, at: this.#clock(), embedding });
    } catch (error) {
      this.breakDown([id], error);
    }
  }

  /** @param tokens of its prompt, taken over from another request */
  reuse(id: string, tokens: number): void {
    this.#events.push({ type: 'reused', id, tokens });
  }

  prefilled(completion: Completion): void {
    completion.isPrefilled = true;
    this.#events.push({ type: 'prefilled', id: completion.request.id, at: this.#clock() });
  }

  guessed(id: string, source: GuessSource, tokens: number, right: number): void {
    this.#events.push({ type: 'guessed', id, source, tokens, right });
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
    const open = this.#open.get(id);
    if (open) this.#end(open, { type: 'aborted', id, at: this.#clock(), stage });
  }

  /** @param isSound whether its slot's contents can be trusted */
  fail(id: string, code: ErrorCode, message: string, stage: AbortStage, isSound = true): void {
    const open = this.#open.get(id);
    if (!open) return;
    this.#end(open, { type: 'failed', id, at: this.#clock(), code, message, stage }, isSound);
  }

  /** Fails the open requests among `ids` because of an error thrown inside the engine. */
  breakDown(ids: readonly string[], error: unknown): void {
    const isRequests = error instanceof NoTokenAllowedError || error instanceof GrammarFaultError;
    if (!isRequests) this.#onFault(error);
    const isNamed = error instanceof SamplingError;
    const message = isNamed ? error.message : 'The model failed while it ran the request.';
    for (const id of ids) {
      const isPrefilled = this.completion(id)?.isPrefilled ?? false;
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

  #end(open: Completion | EmbeddingRequest, event: EndEvent, isSound = true): void {
    this.#events.push(event);
    this.#open.delete(event.id);
    if (!(open instanceof Completion)) return;
    open.sampling?.end();
    this.#ended.push({ id: event.id, generated: isSound ? open.generated : null });
  }
}
