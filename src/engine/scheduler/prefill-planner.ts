import { type EmbeddingRequest, type GenerationRequest, promptLength } from '../protocol/generation.ts';
import type { CacheMemory } from './cache-memory.ts';
import { chunkEnd, costOf, leftOf, type PromptBudget } from './cut-prompt.ts';
import type { SharedPrefix, SlotContent, SlotContents } from './slot-contents.ts';
import type { SlotTable } from './slot-table.ts';
import type { StepPlan } from './step-plan.ts';
import type { NextSlot, WaitingQueue } from './waiting-queue.ts';

type ReadOfEach =
  | 'task'
  | 'id'
  | 'promptTokens'
  | 'priority'
  | 'client'
  | 'arrivedAt'
  | 'queueDeadline'
  | 'deadline';

type SchedulableEmbedding = Pick<EmbeddingRequest, ReadOfEach>;
type SchedulableSequence = Pick<
  GenerationRequest,
  ReadOfEach | 'completionPrefix' | 'maxTokens' | 'promptLogprobs' | 'cacheSalt' | 'isReproducible'
>;

/** The parts of a request that the scheduler reads. */
export type Schedulable = SchedulableSequence | SchedulableEmbedding;

/** A request that holds a slot. */
export interface RunningSequence {
  readonly request: SchedulableSequence;
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

interface PlannerOptions {
  spareSlots: number;
  prefillChunk: number;
  capacity: number;
  encoderCapacity: number;
  packs?: boolean;
  memory?: CacheMemory;
}

/** What the planner shares with the scheduler. */
interface SchedulerState {
  readonly queue: WaitingQueue<Schedulable>;
  readonly table: SlotTable<RunningSequence>;
  readonly contents: SlotContents;
  /** By id, in the order they started. */
  readonly holders: Map<string, RunningSequence>;
}

type PrefillPlan = Pick<StepPlan, 'started' | 'reuses' | 'embeds' | 'encodes' | 'chunks' | 'prefillTokens'>;

interface PrefillUnderWay {
  started: string[];
  reuses: StepPlan['reuses'][number][];
  embeds: string[];
  encodes: StepPlan['encodes'][number][];
  chunks: StepPlan['chunks'][number][];
  prefillTokens: number;
  /** The part of the step's budget that the prompts use, in unscored tokens. */
  cost: number;
  /** Chunks and encoder runs that read the weights for themselves. */
  runs: number;
}

/** Above this many clients, forgets those whose last turn is this many steps ago. */
const maxTurns = 1000;

/** Maximum clients that may be passed while they wait for memory: a step should not look through all of a long queue. */
const maxPassed = 4;

/** Decides which prompts each step of one model computes, and how much of each. Gives queued requests their slots. */
export class PrefillPlanner {
  readonly #options: PlannerOptions;
  readonly #hasEncoder: boolean;
  readonly #queue: SchedulerState['queue'];
  readonly #table: SchedulerState['table'];
  readonly #contents: SchedulerState['contents'];
  readonly #holders: SchedulerState['holders'];
  /**
   * By client, the step that last computed part of one of its prompts, or in which it came. Without the latter, clients
   * that come and go at every step would always go before a prompt that needs a whole chunk.
   */
  readonly #turns = new Map<string, number>();
  /** Full length of all that passed a request while it waited for memory. */
  readonly #passedBy = new WeakMap<Schedulable, number>();
  #step = 0;
  #now = 0;

  constructor(options: PlannerOptions, { queue, table, contents, holders }: SchedulerState) {
    this.#options = options;
    this.#hasEncoder = options.encoderCapacity > 0;
    this.#queue = queue;
    this.#table = table;
    this.#contents = contents;
    this.#holders = holders;
  }

  /** Records that a client has sent a request. */
  arrived(client: string): void {
    if (!this.#turns.has(client)) this.#turns.set(client, this.#step);
    if (this.#turns.size <= maxTurns) return;
    for (const [other, step] of this.#turns) if (step < this.#step - maxTurns) this.#turns.delete(other);
  }

  /**
   * Continues started prompts, then starts queued ones, as far as the budget and the slots allow. Clients take
   * turns: the one whose prompts were computed least recently goes first, so that a short prompt waits for only one
   * chunk of another client's.
   */
  plan(budget: PromptBudget, now: number): PrefillPlan {
    this.#now = now;
    this.#step += 1;
    const plan: PrefillUnderWay = {
      started: [],
      reuses: [],
      embeds: [],
      encodes: [],
      chunks: [],
      prefillTokens: 0,
      cost: 0,
      runs: 0,
    };
    const left = () => leftOf(budget, plan);
    const turnOf = ({ client }: Schedulable) => this.#turns.get(client) ?? -1;
    const underWay = [...this.#holders.values()].filter(({ stage }) => stage === 'prefill');
    for (const holder of underWay.sort((a, b) => turnOf(a.request) - turnOf(b.request))) {
      const hasTurnBefore = (next: Schedulable) => turnOf(next) < turnOf(holder.request);
      while (left() > 0 && this.#startNext(left(), plan, hasTurnBefore));
      this.#planPrompt(holder, left(), plan);
    }
    while (left() > 0 && this.#startNext(left(), plan));
    const { cost: _, runs: __, ...planned } = plan;
    return planned;
  }

  /**
   * Gives the next queued request a slot, if it needs one, and plans what `budget` allows of its prompt.
   * @returns whether it could
   */
  #startNext(budget: number, plan: PrefillUnderWay, isWanted = (_next: Schedulable) => true): boolean {
    const { next, passes } = this.#next();
    if (next === null || !isWanted(next)) return false;
    const shared = next.task === 'embed' ? null : this.#contents.find(next);
    // An encoder cannot stop half-way, so a prompt over budget waits for a step that computes no other.
    const isLong = this.#hasEncoder && shared === null && next.promptTokens.length > budget;
    if (isLong && plan.cost > 0) return false;
    if (next.task === 'embed') {
      this.#planEmbedding(next, passes.length > 0, plan);
      return true;
    }
    const holder = this.#start(next, shared, passes.length > 0, plan);
    if (holder === null) return false;
    for (const passed of passes) this.#passedBy.set(passed, this.#passedLengthOf(passed) + fullLength(next));
    plan.started.push(next.id);
    this.#planPrompt(holder, budget, plan);
    return true;
  }

  /**
   * The next request for which there is memory, and those that it passes. A client whose request waits for memory lets
   * others pass, but together these may be no longer than that request: it must not wait for ever.
   */
  #next(): { next: Schedulable | null; passes: readonly SchedulableSequence[] } {
    const passes: SchedulableSequence[] = [];
    const isPassed = (client: string) => passes.some((passed) => passed.client === client);
    while (passes.length <= maxPassed) {
      const next = this.#queue.first(this.#now, this.#nextSlot, isPassed);
      if (next === null || next.task === 'embed') return { next, passes };
      const mayPass = passes.every(
        (passed) => this.#passedLengthOf(passed) + fullLength(next) <= fullLength(passed),
      );
      if (mayPass && this.#hasMemoryFor(next)) return { next, passes };
      passes.push(next);
    }
    return { next: null, passes };
  }

  #passedLengthOf(request: Schedulable): number {
    return this.#passedBy.get(request) ?? 0;
  }

  get #nextSlot(): NextSlot {
    const free = this.#table.free.length;
    if (free === 0) return 'none';
    return free <= this.#options.spareSlots ? 'spare' : 'free';
  }

  /** It is done when the step ends, so nothing is kept of it. */
  #planEmbedding(request: SchedulableEmbedding, isPassing: boolean, plan: PrefillUnderWay): void {
    const { id, client, promptTokens } = request;
    this.#turns.set(client, this.#step);
    this.#queue.take(request, isPassing);
    this.#queue.release(request, promptTokens.length, this.#now);
    plan.started.push(id);
    plan.embeds.push(id);
    plan.runs += 1;
    plan.prefillTokens += promptTokens.length;
    plan.cost += promptTokens.length;
  }

  /** Whether the running requests and `next` may all grow to their full length. */
  #hasMemoryFor(next: SchedulableSequence): boolean {
    const { memory, capacity } = this.#options;
    if (!memory) return true;
    const reserved = [next, ...[...this.#holders.values()].map(({ request }) => request)].map((request) =>
      memory.reservation(Math.min(capacity, fullLength(request))),
    );
    return reserved.reduce((sum, bytes) => sum + bytes, 0) <= memory.budget;
  }

  /** Gives `request` a slot; null when none is free. */
  #start(
    request: SchedulableSequence,
    shared: SharedPrefix | null,
    isPassing: boolean,
    plan: PrefillUnderWay,
  ): RunningSequence | null {
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
    this.#queue.take(request, isPassing);
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

  #planPrompt(holder: RunningSequence, budget: number, plan: PrefillUnderWay): void {
    if (this.#isToWait(holder, plan) || budget < 1) return;
    if (!this.#hasEncoder || holder.isEncoded) this.#planChunk(holder, budget, plan);
    else {
      const { id, client, promptTokens } = holder.request;
      this.#turns.set(client, this.#step);
      plan.encodes.push({ id, slot: this.#table.slotOf(holder) });
      plan.prefillTokens += promptTokens.length;
      plan.cost += promptTokens.length;
      plan.runs += 1;
      this.#encoded(holder);
    }
  }

  /** Without a completion prefix the decoder has nothing to prefill: its start token goes with the batch. */
  #encoded(holder: RunningSequence): void {
    holder.isEncoded = true;
    if (holder.request.completionPrefix.length === 0) holder.stage = 'ready';
  }

  /** Plans the next chunk of the tokens given to the decoder. */
  #planChunk(holder: RunningSequence, budget: number, plan: PrefillUnderWay): void {
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
    if (isScored || !this.#options.packs) plan.runs += 1;
    holder.filled = end;
    if (isLast) holder.stage = 'ready';
  }

  /** Number of tokens given to the decoder: the prompt, or the start token and the completion prefix. */
  #givenLength({ promptTokens, completionPrefix }: SchedulableSequence): number {
    return this.#hasEncoder ? 1 + completionPrefix.length : promptTokens.length;
  }

  /** Takes over the shared part of the prompt. @returns whether this step must compute nothing of the prompt */
  #isToWait(holder: RunningSequence, plan: PrefillUnderWay): boolean {
    while (holder.shared !== null) {
      const { content, length } = holder.shared;
      const from = this.#contents.slotOf(content);
      const isHeld = from !== null && content.cut <= length;
      if (isHeld && content.filled >= length) this.#takeOver(holder, from, holder.shared, plan);
      else if (isHeld && content.isLive) return true;
      // This source will not deliver; another slot may hold a shared part.
      else holder.shared = this.#contents.find(holder.request, holder.content);
    }
    return holder.stage !== 'prefill';
  }

  #takeOver(
    holder: RunningSequence,
    from: number,
    { content, length }: SharedPrefix,
    plan: PrefillUnderWay,
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

const fullLength = (request: SchedulableSequence) => promptLength(request) + request.maxTokens;

/** At least half of the slot's contents: continuing in that slot overwrites the rest. */
const isMostOf = ({ content, length }: SharedPrefix) => 2 * length >= content.filled;
