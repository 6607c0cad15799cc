import type { AbortStage, GenerationRequest } from '../protocol/generation.ts';
import { chunkEnd, costOf, prefillBudget } from './cut-prompt.ts';
import { type SharedPrefix, type SlotContent, SlotContents } from './slot-contents.ts';
import { type SlotMove, SlotTable } from './slot-table.ts';
import type { PrefillChunk, PrefixReuse, StepPlan } from './step-plan.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** The parts of a request that the scheduler reads. */
export type Schedulable = Pick<
  GenerationRequest,
  | 'id'
  | 'promptTokens'
  | 'completionPrefix'
  | 'maxTokens'
  | 'promptLogprobs'
  | 'cacheSalt'
  | 'isReproducible'
  | 'priority'
  | 'client'
  | 'arrivedAt'
  | 'queueDeadline'
  | 'deadline'
>;

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
}

interface RunningSequence {
  readonly request: Schedulable;
  /** Whether the encoder has read the prompt after the steps planned so far. */
  isEncoded: boolean;
  /** Decoder positions filled after those steps. */
  filled: number;
  /** ready: all given tokens are computed, but the request is not in the decode batch yet. */
  stage: 'prefill' | 'ready' | 'decode';
  readonly content: SlotContent;
  /** Part of the prompt to take over from a slot before the rest is computed. */
  shared: SharedPrefix | null;
}

interface PrefillPlan {
  started: string[];
  reuses: PrefixReuse[];
  encodes: { id: string; slot: number }[];
  chunks: PrefillChunk[];
  prefillTokens: number;
  /** The part of the step's budget that the prompts use, in unscored tokens. */
  cost: number;
}

/** Clients whose turn is remembered, and the number of steps after which it may be forgotten. */
const maxTurns = 1000;

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
  /**
   * By client, the step that last computed part of one of its prompts, or in which it came. Without the latter, clients
   * that come and go at every step would always go before a prompt that needs a whole chunk.
   */
  readonly #turns = new Map<string, number>();
  #step = 0;
  #now = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#contents = new SlotContents(options.slots, this.#hasEncoder ? null : options.prefillChunk);
    this.#table = new SlotTable(options.slots, (free) => this.#contents.oldest(free));
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

  /** Whether the next step has rows to decode. */
  get isDecoding(): boolean {
    return [...this.#holders.values()].some(({ stage }) => stage !== 'prefill');
  }

  /** Used share of the cache's decoder positions, 0–1. */
  get cacheUsage(): number {
    let filled = 0;
    for (const holder of this.#holders.values()) filled += holder.filled;
    return filled / (this.#options.slots * this.#options.capacity);
  }

  /** @throws RangeError when the prompt is empty or does not fit a slot, which the caller should check first */
  add(request: Schedulable): void {
    const limit = this.#hasEncoder ? this.#options.encoderCapacity : this.#options.capacity;
    const { length } = request.promptTokens;
    if (length === 0 || length > limit) {
      throw new RangeError(`A prompt of ${length} tokens does not fit a slot of ${limit}.`);
    }
    this.#queue.add(request);
    if (!this.#turns.has(request.client)) this.#turns.set(request.client, this.#step);
    if (this.#turns.size > maxTurns) this.#forgetTurns();
  }

  /** Forgets clients whose last turn was long ago. */
  #forgetTurns(): void {
    for (const [client, step] of this.#turns) if (step < this.#step - maxTurns) this.#turns.delete(client);
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
    return this.#queue.remove((request) => request.id === id, this.#now).length > 0 ? 'queued' : null;
  }

  /** Schedules the request's row of the last plan again, because no token could be chosen yet. */
  repeat(id: string): void {
    const holder = this.#holders.get(id);
    if (holder) holder.filled -= 1;
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
   */
  next(now: number, othersDecode = false): StepPlan {
    this.#now = now;
    this.#step += 1;
    this.#recordDone();
    const expired = this.#expire(now);
    const moves = this.#arrangeSlots();
    const rows = this.#planDecode();
    const budget = prefillBudget(rows.length, othersDecode, this.#options);
    const { cost: _, ...prefill } = this.#planPrefill(budget);
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
      if (free.length > 0 && this.#contents.isWorthKeeping(to)) {
        const refuge = this.#contents.oldest(free);
        const length = this.#hasEncoder ? 0 : this.#contents.at(to)!.filled;
        planned.push({ id: null, from: to, to: refuge, length });
        this.#contents.copied(to, refuge);
      }
      planned.push({ id: occupant.request.id, from, to, length: occupant.filled });
      this.#contents.copied(from, to);
      return planned;
    });
  }

  #planDecode(): StepPlan['rows'] {
    return this.#table.decoding().map((holder) => ({ id: holder.request.id, past: holder.filled++ }));
  }

  /**
   * Continues started prompts, then starts queued ones, as far as `budget` tokens and the slots allow. Clients take
   * turns: the one whose prompts were computed least recently goes first, so that a short prompt waits for only one
   * chunk of another client's.
   */
  #planPrefill(budget: number): PrefillPlan {
    const plan: PrefillPlan = { started: [], reuses: [], encodes: [], chunks: [], prefillTokens: 0, cost: 0 };
    const left = () => budget - plan.cost;
    const turnOf = ({ client }: Schedulable) => this.#turns.get(client) ?? -1;
    const underWay = [...this.#holders.values()].filter(({ stage }) => stage === 'prefill');
    for (const holder of underWay.sort((a, b) => turnOf(a.request) - turnOf(b.request))) {
      const hasTurnBefore = (next: Schedulable) => turnOf(next) < turnOf(holder.request);
      while (left() > 0 && this.#startNext(left(), plan, hasTurnBefore));
      this.#planPrompt(holder, left(), plan);
    }
    while (left() > 0 && this.#startNext(left(), plan));
    return plan;
  }

  /** Gives the next queued request a slot and plans what `budget` allows of its prompt. @returns whether it could */
  #startNext(budget: number, plan: PrefillPlan, isWanted = (_next: Schedulable) => true): boolean {
    const next = this.#queue.first(this.#now, this.#table.free.length <= this.#options.spareSlots);
    if (next === null || !isWanted(next)) return false;
    const shared = this.#contents.find(next);
    // An encoder cannot stop half-way, so a prompt over budget waits for a step that computes no other.
    const isLong = this.#hasEncoder && shared === null && next.promptTokens.length > budget;
    if (isLong && plan.cost > 0) return false;
    const holder = this.#start(next, shared, plan);
    if (holder === null) return false;
    plan.started.push(next.id);
    this.#planPrompt(holder, budget, plan);
    return true;
  }

  /** Gives `request` a slot; null when none is free. */
  #start(request: Schedulable, shared: SharedPrefix | null, plan: PrefillPlan): RunningSequence | null {
    const slot = this.#slotFor(shared);
    if (slot === null) return null;
    const isThere = shared !== null && this.#contents.at(slot) === shared.content;
    const content = this.#contents.begin(slot, request);
    const holder: RunningSequence = {
      request,
      isEncoded: false,
      filled: 0,
      stage: 'prefill',
      content,
      shared,
    };
    this.#table.take(holder, slot);
    this.#queue.take(request);
    this.#holders.set(request.id, holder);
    if (isThere) this.#takeOver(holder, slot, shared, plan);
    return holder;
  }

  /** The slot that holds the shared part, if it may be overwritten; else the oldest free slot, or null. */
  #slotFor(shared: SharedPrefix | null): number | null {
    const { free } = this.#table;
    const source = shared && this.#contents.slotOf(shared.content);
    const others = free.filter((slot) => slot !== source);
    if (free.length > others.length && (others.length === 0 || isMostOf(shared!))) return source;
    return others.length === 0 ? null : this.#contents.oldest(others);
  }

  #planPrompt(holder: RunningSequence, budget: number, plan: PrefillPlan): void {
    if (this.#isToWait(holder, plan) || budget < 1) return;
    if (!this.#hasEncoder || holder.isEncoded) this.#planChunk(holder, budget, plan);
    else {
      const { id, client, promptTokens } = holder.request;
      this.#turns.set(client, this.#step);
      plan.encodes.push({ id, slot: this.#table.slotOf(holder) });
      plan.prefillTokens += promptTokens.length;
      plan.cost += promptTokens.length;
      this.#encoded(holder);
    }
  }

  /** Without a completion prefix the decoder has nothing to prefill: its start token goes with the batch. */
  #encoded(holder: RunningSequence): void {
    holder.isEncoded = true;
    if (holder.request.completionPrefix.length === 0) holder.stage = 'ready';
  }

  /** Plans the next chunk of the tokens given to the decoder. */
  #planChunk(holder: RunningSequence, budget: number, plan: PrefillPlan): void {
    const { id, client, promptLogprobs } = holder.request;
    const slot = this.#table.slotOf(holder);
    const start = holder.filled;
    const length = this.#givenLength(holder.request);
    const step = { budget, cost: plan.cost, prefillChunk: this.#options.prefillChunk };
    const end = chunkEnd(holder.request, { start, length }, step);
    if (end === start) return;
    this.#turns.set(client, this.#step);
    const isScored = promptLogprobs !== null;
    // Scored tokens are computed in pieces of a chunk, so they never count as exact.
    if (!isScored && !this.#hasEncoder) this.#contents.toCompute(holder.content, start, end);
    const isLast = end === length;
    plan.chunks.push({ id, slot, start, end, isLast });
    plan.prefillTokens += end - start;
    plan.cost += costOf(holder.request, end - start);
    holder.filled = end;
    if (isLast) holder.stage = 'ready';
  }

  /** Number of tokens given to the decoder: the prompt, or the start token and the completion prefix. */
  #givenLength({ promptTokens, completionPrefix }: Schedulable): number {
    return this.#hasEncoder ? 1 + completionPrefix.length : promptTokens.length;
  }

  /** Takes over the shared part of the prompt. @returns whether this step must compute nothing of the prompt */
  #isToWait(holder: RunningSequence, plan: PrefillPlan): boolean {
    while (holder.shared !== null) {
      const { content, length } = holder.shared;
      const from = this.#contents.slotOf(content);
      if (from !== null && content.filled >= length) this.#takeOver(holder, from, holder.shared, plan);
      else if (from !== null && content.isLive) return true;
      // This source will not deliver; another slot may hold a shared part.
      else holder.shared = this.#contents.find(holder.request, holder.content);
    }
    return holder.stage !== 'prefill';
  }

  #takeOver(
    holder: RunningSequence,
    from: number,
    { content, length }: SharedPrefix,
    plan: PrefillPlan,
  ): void {
    const { id } = holder.request;
    const slot = this.#table.slotOf(holder);
    const isWhole = this.#hasEncoder;
    plan.reuses.push({ id, from, slot, length: isWhole ? 0 : length, tokens: length, isWhole });
    this.#contents.takenOver(holder.content, content, length);
    holder.shared = null;
    if (isWhole) this.#encoded(holder);
    else holder.filled = length;
  }
}

/** At least half of the slot's contents: continuing in that slot overwrites the rest. */
const isMostOf = ({ content, length }: SharedPrefix) => 2 * length >= content.filled;
