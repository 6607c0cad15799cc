import type { Runtime, Session } from '../../runtime/session.ts';
import type { Clock } from '../protocol/clock.ts';
import type { AbortStage, EngineRequest } from '../protocol/generation.ts';
import type { EngineReport, StepReport } from '../protocol/messages.ts';
import type { Scheduler, SlotLimits } from '../scheduler/scheduler.ts';
import type { StepPlan } from '../scheduler/step-plan.ts';
import type { StepTimes } from '../scheduler/step-times.ts';
import { Completion, type CompletionModel } from './completion.ts';
import { Computation } from './computation.ts';
import type { Draft } from './guesses/draft.ts';
import { Guesses } from './guesses/guesses.ts';
import { OpenRequests } from './open-requests.ts';
import { TimedSession } from './timed-session.ts';

export interface ModelLimits extends SlotLimits {
  /** Numbers in a final state of the encoder; 0 for decoder-only models. */
  encoderWidth: number;
  /** Maximum bytes of keys and values. */
  cacheBudget: number;
  /** The memory for keys and values, not the model, limits `capacity`. */
  isCacheLimit: boolean;
}

export interface ModelEngineParts {
  /** Name as served. */
  name: string;
  session: Session;
  limits: ModelLimits;
  scheduler: Scheduler;
  times: StepTimes;
  /** Guess the next tokens of sequences from their own texts, if the session can check a guess. */
  promptLookup: boolean;
  /** Proposes next tokens; null: none. Only for a session with equal rows. */
  draft: Draft | null;
  model: CompletionModel;
  clock: Clock;
  /** Receives internal errors; clients get a message without details. */
  onFault(error: unknown): void;
  /** Called once the session is closed. */
  onClosed(): void;
}

export type SteppedReport = Extract<EngineReport, { type: 'stepped' }>;

const lateness: Record<AbortStage, string> = {
  queued: 'The request waited for a slot longer than its deadline allows.',
  prefill: 'The request ran longer than its deadline allows.',
  decode: 'The request ran longer than its deadline allows.',
};

/**
 * Generates and embeds for one model, one step at a time. Takes requests and aborts between steps and sends all events
 * of a step together. A failure ends only the requests it affects.
 */
export class ModelEngine {
  readonly name: string;
  readonly limits: ModelLimits;
  readonly #session: Session;
  readonly #timed: TimedSession;
  readonly #scheduler: Scheduler;
  readonly #times: StepTimes;
  readonly #computation: Computation;
  readonly #model: CompletionModel;
  readonly #clock: Clock;
  readonly #onClosed: () => void;
  readonly #open: OpenRequests;
  /** null: nothing is guessed. */
  readonly #guesses: Guesses | null;
  readonly #draft: Draft | null;
  #submitted: EngineRequest[] = [];
  #aborted: string[] = [];

  constructor(parts: ModelEngineParts) {
    const { name, session, limits, scheduler, times, promptLookup, draft, model, clock, onFault, onClosed } =
      parts;
    this.name = name;
    this.limits = limits;
    this.#session = session;
    this.#timed = new TimedSession(session, times, clock);
    this.#scheduler = scheduler;
    this.#times = times;
    this.#model = model;
    this.#clock = clock;
    this.#onClosed = onClosed;
    this.#open = new OpenRequests(clock, onFault);
    this.#draft = draft;
    this.#guesses =
      session.hasEqualRows && (promptLookup || draft !== null)
        ? new Guesses({
            session,
            timed: this.#timed,
            capacity: limits.capacity,
            open: this.#open,
            promptLookup,
            draft,
          })
        : null;
    this.#computation = new Computation({
      session,
      timed: this.#timed,
      capacity: limits.capacity,
      scheduler,
      open: this.#open,
      model,
      guesses: this.#guesses,
    });
  }

  get runtime(): Runtime {
    return this.#session.runtime;
  }

  get hasWork(): boolean {
    return this.#submitted.length > 0 || this.#scheduler.hasWork;
  }

  /** Expected milliseconds to decode the next tokens of its sequences; null if none waits for one. */
  get decodeMs(): number | null {
    const rows = this.#scheduler.decodingRows;
    return rows === 0 ? null : this.#times.decodeMs(rows) + (this.#guesses?.draftMs ?? 0);
  }

  submit(request: EngineRequest): void {
    this.#submitted.push(request);
  }

  /** Ignores ids of other models' requests and of requests that have ended. */
  abort(ids: readonly string[]): void {
    // Without work it takes no step, and would keep the ids of other models' requests.
    if (this.hasWork) this.#aborted.push(...ids);
  }

  /** @param othersMs milliseconds in which other models decode, whose sequences wait for this step to end; null if none */
  async step(othersMs: number | null = null): Promise<SteppedReport> {
    this.#takeMessages();
    const timeFor = (rows: number) => this.#times.budget(rows, othersMs);
    const plan = this.#scheduler.next(this.#clock(), othersMs !== null, timeFor);
    this.#announce(plan);
    this.#moveSlots(plan);
    this.#reusePrefixes(plan);
    this.#giveBackMemory();
    await this.#computation.run(plan, othersMs !== null);
    this.#giveBackSlots();
    this.#giveBackMemory();
    return this.#report(plan);
  }

  /** Aborts everything and frees the session. Must not run during a step. */
  async close(): Promise<SteppedReport> {
    this.#takeMessages();
    this.#abortNow(this.#open.ids);
    try {
      await Promise.all([this.#session.close(), this.#draft?.close()]);
    } finally {
      this.#onClosed();
    }
    return this.#report(null);
  }

  #takeMessages(): void {
    for (const request of this.#submitted) this.#admit(request);
    this.#submitted = [];
    this.#abortNow(this.#aborted);
    this.#aborted = [];
  }

  #admit(request: EngineRequest): void {
    const opened = request.task === 'embed' ? request : new Completion(request, this.#model);
    if (opened instanceof Completion && opened.isEmpty) {
      this.#open.finishEmpty(opened);
      return;
    }
    this.#open.add(opened);
    try {
      this.#scheduler.add(request);
    } catch (error) {
      this.#open.fail(request.id, 'invalid_request', (error as Error).message, 'queued');
    }
  }

  #abortNow(ids: readonly string[]): void {
    for (const id of ids) {
      const stage = this.#scheduler.release(id, this.#open.completion(id)?.generated);
      if (stage) this.#open.abort(id, stage);
    }
  }

  #announce({ expired, started }: StepPlan): void {
    for (const { id, stage } of expired) this.#open.fail(id, 'deadline_exceeded', lateness[stage], stage);
    for (const id of started) this.#start(id);
  }

  #start(id: string): void {
    this.#open.start(id);
    const completion = this.#open.completion(id);
    if (!completion) return;
    try {
      completion.sampling = this.#session.startSampling(completion.samplingRequest);
    } catch (error) {
      this.#open.breakDown([id], error);
    }
  }

  #moveSlots({ moves }: StepPlan): void {
    for (const { id, from, to, length } of moves) this.#copySlot(id, from, to, length);
  }

  #reusePrefixes({ reuses }: StepPlan): void {
    for (const { id, from, slot, length, tokens, isWhole } of reuses) {
      if (from !== slot) this.#copySlot(id, from, slot, length);
      const completion = this.#open.completion(id);
      if (!completion) continue;
      this.#open.reuse(id, tokens);
      if (isWhole) this.#computation.encoded(completion);
    }
  }

  /** @param id request that owns the cache; null: the request is done */
  #copySlot(id: string | null, from: number, to: number, length: number): void {
    try {
      this.#session.copySlot(from, to, length);
    } catch (error) {
      this.#open.breakDown(id === null ? [] : [id], error);
      if (id === null) this.#scheduler.forget(to);
    }
  }

  #giveBackMemory(): void {
    for (const { slot, length, cut } of this.#scheduler.giveBack()) {
      try {
        this.#session.trimSlot(slot, length, cut);
      } catch (error) {
        this.#open.breakDown([], error);
      }
    }
  }

  #giveBackSlots(): void {
    for (const { id, generated } of this.#open.takeEnded()) {
      this.#scheduler.release(id, generated);
      this.#guesses?.release(id);
    }
  }

  #report(plan: StepPlan | null): SteppedReport {
    const spent = this.#timed.takeSpent();
    const drafted = this.#draft?.timed.takeSpent();
    const draftMs = (drafted?.prefillMs ?? 0) + (drafted?.decodeMs ?? 0);
    const step: StepReport = {
      model: this.name,
      ...spent,
      // The draft's time counts as decoding: it makes tokens come.
      ...(draftMs > 0 && { decodeMs: (spent.decodeMs ?? 0) + draftMs }),
      decodeRows: plan?.rows.length ?? 0,
      prefillTokens: plan?.prefillTokens ?? 0,
      waiting: this.#scheduler.waiting,
      running: this.#scheduler.running,
      prefillBacklogMs: this.#times.prefillMs(this.#scheduler.promptBacklog),
      cacheUsage: this.#scheduler.cacheUsage,
      cacheBytes: this.#scheduler.cacheBytes ?? this.limits.cacheBudget,
    };
    return { type: 'stepped', step, events: this.#open.takeEvents() };
  }
}
