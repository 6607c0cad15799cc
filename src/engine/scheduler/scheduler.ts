import type { AbortStage } from '../protocol/generation.ts';
import type { CacheMemory, SlotTrim } from './cache-memory.ts';
import { promptBudget } from './cut-prompt.ts';
import { PrefillPlanner, type RunningSequence, type Schedulable } from './prefill-planner.ts';
import { PromptBacklog } from './prompt-backlog.ts';
import { SlotContents } from './slot-contents.ts';
import { type SlotMove, SlotTable } from './slot-table.ts';
import type { StepPlan } from './step-plan.ts';
import { type TimeBudget, unlimited } from './step-times.ts';
import { WaitingQueue } from './waiting-queue.ts';

export interface SlotLimits {
  slots: number;
  /** Decoder positions of a slot. */
  capacity: number;
  /** Encoder positions of a slot; 0 for decoder-only models. */
  encoderCapacity: number;
}

export interface SchedulerOptions extends SlotLimits {
  /** Slots reserved for clients that hold none. */
  spareSlots: number;
  /**
   * Maximum tokens of a step: one for each decoding request, the rest for prompts. Prompts always get at least three. A
   * reproducible or scored prompt gets its whole chunk, even above the maximum, if the step prefills nothing else.
   */
  stepTokens: number;
  /** Maximum prompt tokens of one request in one step; an encoder reads its prompt whole. */
  prefillChunk: number;
  /** As the session's: reproducible requests need no care. */
  hasEqualRows: boolean;
  /** As the session's: prompts are computed together with the decode rows, unless they are scored. Default: false. */
  packs?: boolean;
  /** Absent: the cache's memory is allocated at once. */
  memory?: CacheMemory;
}

/**
 * Decides what each step of one model computes. Pure: no clock, no I/O. Assumes that each plan is carried out; before
 * the next plan the caller removes requests that failed or ended, with release().
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #queue = new WaitingQueue<Schedulable>();
  readonly #table: SlotTable<RunningSequence>;
  readonly #contents: SlotContents;
  /** By id, in the order they started. */
  readonly #holders = new Map<string, RunningSequence>();
  readonly #prefill: PrefillPlanner;
  readonly #backlog: PromptBacklog;
  #now = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#contents = new SlotContents(options.slots, this.#hasEncoder ? null : options.prefillChunk);
    this.#table = new SlotTable(options.slots, (free) => this.#contents.oldest(free));
    this.#prefill = new PrefillPlanner(options, {
      queue: this.#queue,
      table: this.#table,
      contents: this.#contents,
      holders: this.#holders,
    });
    this.#backlog = new PromptBacklog(this.#contents);
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

  /** Rows that the next step decodes. */
  get decodingRows(): number {
    return [...this.#holders.values()].filter(({ stage }) => stage !== 'prefill').length;
  }

  /** Prompt tokens still to compute, of queued and running requests, without those that can be reused. */
  get promptBacklog(): number {
    return this.#backlog.tokens(this.#holders.values());
  }

  /** Share of the cache that running requests use, 0–1: of its memory, or of its decoder positions. */
  get cacheUsage(): number {
    const { memory, slots, capacity } = this.#options;
    let used = 0;
    for (const { filled, content } of this.#holders.values()) {
      used += memory ? memory.bytes(filled, content.cut) : filled;
    }
    return used / (memory ? memory.budget : slots * capacity);
  }

  /** Bytes of keys and values in memory; null: all that was allocated. */
  get cacheBytes(): number | null {
    return this.#options.memory?.inUse ?? null;
  }

  /**
   * What the caller must give back so that the cache fits its budget: after the copies of a plan and before its
   * computations, and when requests have ended.
   */
  giveBack(): readonly SlotTrim[] {
    const { memory, slots } = this.#options;
    if (!memory) return [];
    const filled = Array.from({ length: slots }, (_, slot) => this.#contents.at(slot)?.filled ?? 0);
    for (const holder of this.#holders.values()) filled[this.#table.slotOf(holder)] = holder.filled;
    return memory.giveBack(this.#contents, filled);
  }

  /** @throws RangeError when the prompt is empty or does not fit a slot, which the caller should check first */
  add(request: Schedulable): void {
    const limit = this.#hasEncoder ? this.#options.encoderCapacity : this.#options.capacity;
    const { length } = request.promptTokens;
    if (length === 0 || length > limit) {
      throw new RangeError(`A prompt of ${length} tokens does not fit a slot of ${limit}.`);
    }
    this.#queue.add(this.#options.hasEqualRows ? { ...request, isReproducible: false } : request);
    this.#prefill.arrived(request.client);
    this.#backlog.add(request);
  }

  /**
   * Removes a request from the queue or its slot.
   * @param generated its generated tokens, for later prompts that contain them; null: its cache cannot be trusted
   * @returns where it was; null when it is no longer here
   */
  release(id: string, generated: readonly number[] | null = []): AbortStage | null {
    const holder = this.#holders.get(id);
    if (holder) {
      this.#holders.delete(id);
      this.#table.release(holder);
      this.#keep(holder, generated);
      this.#settle(holder);
      return holder.stage === 'prefill' ? 'prefill' : 'decode';
    }
    this.#backlog.remove(id);
    return this.#queue.remove((request) => request.id === id, this.#now).length > 0 ? 'queued' : null;
  }

  /** Schedules the request's row of the last plan again, because no token could be chosen yet. */
  repeat(id: string): void {
    const holder = this.#holders.get(id);
    if (holder) holder.filled -= 1;
  }

  /** Records that the request's row of the last plan filled `count` more positions, because a guess was right. */
  filledMore(id: string, count: number): void {
    const holder = this.#holders.get(id);
    if (holder) holder.filled += count;
  }

  /** Drops what a finished request left in `slot`, because it cannot be trusted. */
  forget(slot: number): void {
    const content = this.#contents.at(slot);
    if (content) this.#contents.drop(content);
  }

  /**
   * Plans the next step.
   * @param now on the clock of the requests' deadlines
   * @param othersDecode whether another model's rows wait for this step to end
   * @param timeFor what prompts may take in a step that decodes so many rows
   */
  next(now: number, othersDecode = false, timeFor: (rows: number) => TimeBudget = () => unlimited): StepPlan {
    this.#now = now;
    this.#recordDone();
    const expired = this.#expire(now);
    const moves = this.#arrangeSlots();
    const rows = this.#planDecode();
    const budget = promptBudget(rows.length, othersDecode, timeFor(rows.length), this.#options);
    const prefill = this.#prefill.plan(budget, now);
    for (const id of [...prefill.started, ...expired.map(({ id }) => id)]) this.#backlog.remove(id);
    this.#backlog.lookAgain();
    return { expired, moves, rows, ...prefill };
  }

  /** Makes what earlier plans computed available to other requests. */
  #recordDone(): void {
    for (const { content, filled, isEncoded } of this.#holders.values()) {
      if (!this.#hasEncoder) content.filled = Math.min(filled, content.tokens.length);
      else if (isEncoded) content.filled = content.tokens.length;
    }
  }

  #keep({ content, filled, request, isEncoded }: RunningSequence, generated: readonly number[] | null): void {
    const { promptTokens } = request;
    if (generated === null) this.#contents.drop(content);
    else if (this.#hasEncoder) {
      this.#contents.end(content, promptTokens, isEncoded ? promptTokens.length : 0);
    } else {
      const tokens = [...promptTokens, ...generated].slice(0, filled);
      this.#contents.end(content, tokens, tokens.length);
    }
  }

  /** Charges a client only for what its request computed. */
  #settle({ request, filled, isEncoded }: RunningSequence): void {
    const encoded = isEncoded ? request.promptTokens.length : 0;
    this.#queue.release(request, encoded + filled, this.#now);
  }

  get #hasEncoder(): boolean {
    return this.#options.encoderCapacity > 0;
  }

  #expire(now: number): StepPlan['expired'] {
    const isLate = (request: Schedulable) => now > request.deadline;
    const late = [...this.#holders.values()].filter((holder) => isLate(holder.request));
    const lateIds = late.map((holder) => holder.request.id);
    const running = lateIds.map((id) => ({ id, stage: this.release(id)! }));
    const queued = this.#queue.remove((request) => now > request.queueDeadline || isLate(request), now);
    return [...running, ...queued.map(({ id }) => ({ id, stage: 'queued' as const }))];
  }

  /** Closes gaps in the decode batch and adds the requests that have finished their prompts. */
  #arrangeSlots(): StepPlan['moves'] {
    const moves = this.#table.compact();
    for (const holder of this.#holders.values()) {
      if (holder.stage !== 'ready') continue;
      const promotion = this.#table.promote(holder);
      if (promotion === null) continue;
      holder.stage = 'decode';
      moves.push(...promotion);
    }
    return this.#carryOut(moves);
  }

  /** Plans the moves. Before one overwrites useful contents, copies these to the oldest free slot, if there is one. */
  #carryOut(moves: readonly SlotMove<RunningSequence>[]): StepPlan['moves'] {
    return moves.flatMap(({ occupant, from, to }, i) => {
      const planned: StepPlan['moves'][number][] = [];
      const busy = new Set([to, ...moves.slice(i).map((move) => move.from)]);
      const free = this.#table.free.filter((slot) => !busy.has(slot));
      if (free.length > 0 && this.#contents.isWorthKeeping(to) && this.#hasRoomToCopy(to)) {
        const refuge = this.#contents.oldest(free);
        const length = this.#hasEncoder ? 0 : this.#contents.at(to)!.filled;
        planned.push({ id: null, from: to, to: refuge, length });
        this.#contents.moved(to, refuge);
        this.#options.memory?.copied(refuge, length);
      }
      planned.push({ id: occupant.request.id, from, to, length: occupant.filled });
      this.#contents.moved(from, to);
      this.#options.memory?.copied(to, occupant.filled);
      return planned;
    });
  }

  /** Whether the memory has room for what finished requests left in `slot` a second time. */
  #hasRoomToCopy(slot: number): boolean {
    const { memory } = this.#options;
    const { filled, cut } = this.#contents.at(slot)!;
    return !memory || memory.inUse + memory.bytes(filled, cut) <= memory.budget;
  }

  #planDecode(): StepPlan['rows'] {
    return this.#table.decoding().map((holder) => ({ id: holder.request.id, past: holder.filled++ }));
  }
}
