import type { AbortStage, GenerationRequest } from './generation.ts';
import { type SlotMove, SlotTable } from './slot-table.ts';
import type { PrefillChunk, StepPlan } from './step-plan.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** What the scheduler looks at of a request. */
export type Schedulable = Pick<
  GenerationRequest,
  'id' | 'promptTokens' | 'maxTokens' | 'priority' | 'client' | 'arrivedAt' | 'queueDeadline' | 'deadline'
>;

export interface SlotLimits {
  slots: number;
  /** Decoder positions of a slot. */
  capacity: number;
  /** Encoder positions of a slot; 0 for decoder-only models. */
  encoderCapacity: number;
}

export interface SchedulerOptions extends SlotLimits {
  /** Most tokens a step computes; one for each decoding request, the rest for prompts. At least one is for prompts. */
  stepTokens: number;
  /** Most prompt tokens of one request in one step; an encoder takes its prompt whole. */
  prefillChunk: number;
}

interface Holder {
  readonly request: Schedulable;
  /** Decoder positions filled once the steps planned so far are done. */
  filled: number;
  /** ready: the prompt is in, a place in the decode batch is not. */
  stage: 'prefill' | 'ready' | 'decode';
}

interface PrefillPlan {
  started: string[];
  encodes: { id: string; slot: number }[];
  chunks: PrefillChunk[];
  prefillTokens: number;
}

/**
 * Decides what each step of one model computes. Pure: no clock, no I/O. A plan is taken as carried out; a request
 * that fails or ends is taken out with release() before the next one.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #queue = new WaitingQueue<Schedulable>();
  readonly #table: SlotTable<Holder>;
  /** In the order they started. */
  readonly #holders = new Map<string, Holder>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#table = new SlotTable(options.slots);
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get running(): number {
    return this.#holders.size;
  }

  get hasWork(): boolean {
    return this.waiting + this.running > 0;
  }

  /** Share of the cache's decoder positions in use, 0–1. */
  get cacheUsage(): number {
    let filled = 0;
    for (const holder of this.#holders.values()) filled += holder.filled;
    return filled / (this.#options.slots * this.#options.capacity);
  }

  /** @throws RangeError when the prompt cannot fit a slot, which the caller should have known */
  add(request: Schedulable): void {
    const limit = this.#hasEncoder ? this.#options.encoderCapacity : this.#options.capacity;
    const { length } = request.promptTokens;
    if (length === 0 || length > limit) {
      throw new RangeError(`A prompt of ${length} tokens does not fit a slot of ${limit}.`);
    }
    this.#queue.add(request);
  }

  /** Takes a request out, wherever it is. @returns where it was; null when it is not here any more */
  release(id: string): AbortStage | null {
    const holder = this.#holders.get(id);
    if (holder) {
      this.#holders.delete(id);
      this.#table.release(holder);
      return holder.stage === 'prefill' ? 'prefill' : 'decode';
    }
    return this.#queue.remove((request) => request.id === id).length > 0 ? 'queued' : null;
  }

  /** @param now on the clock of the requests' deadlines */
  next(now: number): StepPlan {
    const expired = this.#expire(now);
    const moves = this.#arrangeSlots();
    const rows = this.#planDecode();
    const prefill = this.#planPrefill(this.#prefillBudget(rows.length), now);
    return { expired, moves, rows, ...prefill };
  }

  get #hasEncoder(): boolean {
    return this.#options.encoderCapacity > 0;
  }

  #expire(now: number): StepPlan['expired'] {
    const isLate = (request: Schedulable) => now > request.deadline;
    const late = [...this.#holders.values()].filter((holder) => isLate(holder.request));
    const lateIds = late.map((holder) => holder.request.id);
    const running = lateIds.map((id) => ({ id, stage: this.release(id)! }));
    const queued = this.#queue.remove((request) => now > request.queueDeadline || isLate(request));
    return [...running, ...queued.map(({ id }) => ({ id, stage: 'queued' as const }))];
  }

  /** Closes gaps in the decode batch and lets those whose prompt is in join it. */
  #arrangeSlots(): StepPlan['moves'] {
    const moves = this.#table.compact();
    for (const holder of this.#holders.values()) {
      if (holder.stage !== 'ready') continue;
      const promotion = this.#table.promote(holder);
      if (promotion === null) continue;
      holder.stage = 'decode';
      moves.push(...promotion);
    }
    return moves.map(({ occupant, from, to }: SlotMove<Holder>) => ({
      id: occupant.request.id,
      from,
      to,
      length: occupant.filled,
    }));
  }

  #planDecode(): StepPlan['rows'] {
    return this.#table.decoding().map((holder) => ({ id: holder.request.id, past: holder.filled++ }));
  }

  /** Those that decode wait for no more than one chunk. */
  #prefillBudget(rows: number): number {
    const { stepTokens, prefillChunk } = this.#options;
    return rows === 0 ? stepTokens : Math.max(1, Math.min(stepTokens - rows, prefillChunk));
  }

  /** Prompts that were begun go on first, then the queue moves up, as far as `budget` tokens and the slots go. */
  #planPrefill(budget: number, now: number): PrefillPlan {
    const plan: PrefillPlan = { started: [], encodes: [], chunks: [], prefillTokens: 0 };
    const left = () => budget - plan.prefillTokens;
    for (const holder of this.#holders.values()) {
      if (holder.stage === 'prefill' && left() > 0) this.#planPrompt(holder, left(), plan);
    }
    for (let next = this.#queue.first(now); next !== null && left() > 0; next = this.#queue.first(now)) {
      // An encoder cannot stop half-way, so a prompt over budget waits until it is the only one of its step.
      if (this.#hasEncoder && next.promptTokens.length > left() && plan.started.length > 0) break;
      const holder = this.#start(next);
      if (holder === null) break;
      plan.started.push(next.id);
      this.#planPrompt(holder, left(), plan);
    }
    return plan;
  }

  /** Gives `request` a slot; null when there is none. */
  #start(request: Schedulable): Holder | null {
    const holder: Holder = { request, filled: 0, stage: 'prefill' };
    if (this.#table.take(holder) === null) return null;
    this.#queue.take(request);
    this.#holders.set(request.id, holder);
    return holder;
  }

  #planPrompt(holder: Holder, budget: number, plan: PrefillPlan): void {
    const { id, promptTokens } = holder.request;
    const slot = this.#table.slotOf(holder);
    if (this.#hasEncoder) {
      plan.encodes.push({ id, slot });
      plan.prefillTokens += promptTokens.length;
      holder.stage = 'ready';
      return;
    }
    const start = holder.filled;
    const end = Math.min(promptTokens.length, start + Math.min(budget, this.#options.prefillChunk));
    const isLast = end === promptTokens.length;
    plan.chunks.push({ id, slot, start, end, isLast });
    plan.prefillTokens += end - start;
    holder.filled = end;
    if (isLast) holder.stage = 'ready';
  }
}
