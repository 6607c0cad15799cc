import type { ErrorCode } from '../../errors.ts';
import type { PromptTokenLogprobs, SampledToken } from '../../sampling/sampled-token.ts';
import { GrammarFaultError, NoTokenAllowedError, SamplingError } from '../../sampling/sampling-error.ts';
import type { Clock } from '../protocol/clock.ts';
import type { AbortStage, GenerationEvent } from '../protocol/generation.ts';
import type { Completion } from './completion.ts';

export interface EndedCompletion {
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
    this.#events.push(this.#open.get(id)!.start(this.#clock()));
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
    if (completion) this.#end(completion, completion.abort(stage, this.#clock()));
  }

  /** @param isSound whether its slot's contents can be trusted */
  fail(id: string, code: ErrorCode, message: string, stage: AbortStage, isSound = true): void {
    const completion = this.#open.get(id);
    if (completion) this.#end(completion, completion.fail(code, message, stage, this.#clock()), isSound);
  }

  /** Fails the open completions among `ids` because of an error thrown inside the engine. */
  breakDown(ids: readonly string[], error: unknown): void {
    const isRequests = error instanceof NoTokenAllowedError || error instanceof GrammarFaultError;
    if (!isRequests) this.#onFault(error);
    const isNamed = error instanceof SamplingError;
    const message = isNamed ? error.message : 'The model failed while it ran the request.';
    for (const id of ids) {
      const hasPrefilled = this.#open.get(id)?.timings.hasPrefilled ?? false;
      const code = isRequests ? 'invalid_request' : 'engine_failure';
      this.fail(id, code, message, hasPrefilled ? 'decode' : 'prefill', isRequests && hasPrefilled);
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

  #end(completion: Completion, event: GenerationEvent, isSound = true): void {
    const { request, generated } = completion;
    this.#events.push(event);
    this.#open.delete(request.id);
    completion.sampling?.end();
    this.#ended.push({ id: request.id, generated: isSound ? generated : null });
  }
}
