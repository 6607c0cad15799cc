import type { Clock } from './clock.ts';
import { DrainRate } from './drain-rate.ts';
import { KeptTurns } from './kept-turns.ts';

/** What waits, in sequences and in prompt tokens. */
export interface QueueAmount {
  requests: number;
  tokens: number;
}

/** `unknown`: nothing has left the queue yet. */
const retrySeconds = { shortest: 1, unknown: 5, longest: 3600 };
/** Of the rate at which the queue drains, what those who come back are given; new requests take their part. */
const shareOfReturning = 0.8;
/** Of the queue, what is kept for those who come back when they were told, while any are expected. */
const shareKept = 0.25;

/** The answer to those for whom there is no room. */
export interface Refusal {
  retryAfterSeconds: number;
  /** There is room, but it is kept for others. */
  isKept: boolean;
}

/**
 * Counts what waits, of all clients or of one, and says when there will be room. Those who are refused are told to come
 * back one after another, at the rate at which there will be room: told the same time, they would come together and be
 * refused again. Those who then come are known by their key, and have a part of the queue to themselves: the overload
 * may not be over.
 */
export class QueueBound {
  readonly #limits: QueueAmount;
  readonly #clock: Clock;
  /** Whose speed stands in until something has left here. */
  readonly #like: QueueBound | null;
  readonly #requestRate = new DrainRate(0);
  readonly #tokenRate = new DrainRate(0);
  readonly #turns = new KeptTurns();
  readonly held: QueueAmount = { requests: 0, tokens: 0 };
  /** Milliseconds in which something waited, up to #measuredAt: an empty queue says nothing about its speed. */
  #busyMs = 0;
  #measuredAt: number;
  /** Until then, those who were refused before are expected back. */
  #returnsUntil: number;

  constructor(limits: QueueAmount, clock: Clock, like: QueueBound | null = null) {
    this.#limits = limits;
    this.#clock = clock;
    this.#like = like;
    this.#measuredAt = clock();
    this.#returnsUntil = this.#measuredAt;
  }

  /**
   * @param key of who asks, by which they are known when they come back
   * @param excess what has to leave before there is room for `asked`
   * @returns null where there is room
   */
  refusal(key: string, asked: QueueAmount, excess: QueueAmount): Refusal | null {
    this.#measureBusy();
    const now = this.#measuredAt;
    const isUnexpected = !this.#turns.isEmpty(now) && !this.#turns.take(key, now);
    const kept = (limit: number) => (isUnexpected ? Math.floor(limit * shareKept) : 0);
    const { requests, tokens } = this.#limits;
    if (excess.requests + kept(requests) <= 0 && excess.tokens + kept(tokens) <= 0) return null;
    const at = this.#timeOfReturn(asked, excess);
    this.#turns.add(key, at);
    const retryAfterSeconds = Math.max(retrySeconds.shortest, Math.ceil((at - now) / 1000));
    return { retryAfterSeconds, isKept: isUnexpected };
  }

  add({ requests, tokens }: QueueAmount): void {
    this.#measureBusy();
    this.held.requests += requests;
    this.held.tokens += tokens;
  }

  /** A sequence has got a slot, or was given up while it waited. */
  leave(tokens: number): void {
    this.#measureBusy();
    this.held.requests -= 1;
    this.held.tokens -= tokens;
    this.#requestRate.record(1, this.#busyMs);
    this.#tokenRate.record(tokens, this.#busyMs);
  }

  #measureBusy(): void {
    const now = this.#clock();
    if (this.held.requests > 0) this.#busyMs += now - this.#measuredAt;
    this.#measuredAt = now;
  }

  /** On the clock, within bounds: when the excess has left, and those who were refused before have had their turn. */
  #timeOfReturn(asked: QueueAmount, excess: QueueAmount): number {
    const now = this.#measuredAt;
    const room = now + 1000 * this.#secondsToDrain(excess);
    const at = Math.min(Math.max(room, this.#returnsUntil), now + 1000 * retrySeconds.longest);
    this.#returnsUntil = at + (1000 * this.#secondsToDrain(asked)) / shareOfReturning;
    return at;
  }

  #secondsToDrain({ requests, tokens }: QueueAmount): number {
    const speed = this.#speed();
    return Math.max(secondsToDrain(requests, speed.requests), secondsToDrain(tokens, speed.tokens));
  }

  /** Per second; null: unknown. */
  #speed(): { requests: number | null; tokens: number | null } {
    const requests = this.#requestRate.perSecond(this.#busyMs);
    if (requests === null && this.#like !== null) return this.#like.#speed();
    return { requests, tokens: this.#tokenRate.perSecond(this.#busyMs) };
  }
}

function secondsToDrain(excess: number, perSecond: number | null): number {
  if (excess <= 0) return 0;
  return perSecond === null ? retrySeconds.unknown : excess / perSecond;
}
