import type { Clock } from '../protocol/clock.ts';

/** How long after its time a turn is kept, for clients and networks that are slow. */
const graceMs = 5000;
/** Bounds the memory they take, some 10 MB. */
const mostTurns = 65_536;

/**
 * When those who were refused were told to come back, so that they are known when they do. `key` says who: there may be
 * several turns of one. Times are milliseconds on one clock that does not run back.
 */
export class KeptTurns {
  /** Not yet come, in the order they come. */
  readonly #coming: { key: string; at: number }[] = [];
  /** Come: how many of a key, in the order in which they lapse. */
  readonly #come = new Map<string, { count: number; until: number }>();

  /** Whether there is anybody to keep room for. */
  isEmpty(now: number): boolean {
    this.#advance(now);
    return this.#coming.length === 0 && this.#come.size === 0;
  }

  /** @param at no earlier than that of the turn added before */
  add(key: string, at: number): void {
    if (this.#coming.length < mostTurns) this.#coming.push({ key, at });
  }

  /** @returns whether `key` has a turn now; it has one fewer then */
  take(key: string, now: number): boolean {
    this.#advance(now);
    const turns = this.#come.get(key);
    if (turns === undefined) return false;
    turns.count -= 1;
    if (turns.count === 0) this.#come.delete(key);
    return true;
  }

  #advance(now: number): void {
    const isLater = this.#coming.findIndex(({ at }) => at > now);
    const count = isLater === -1 ? this.#coming.length : isLater;
    for (const { key, at } of count > 0 ? this.#coming.splice(0, count) : []) {
      const earlier = this.#come.get(key)?.count ?? 0;
      this.#come.delete(key);
      this.#come.set(key, { count: earlier + 1, until: at + graceMs });
    }
    for (const [key, { until }] of this.#come) {
      if (until >= now) break;
      this.#come.delete(key);
    }
  }
}

/** The rate is of the last so many events, which say something of slow queues, */
const fewestEvents = 64;
/** and of so many milliseconds at least, since those who run together often end together. */
const shortestMs = 5000;

/** How much leaves a queue per second, of late. */
export class DrainRate {
  readonly #events: { amount: number; at: number }[] = [];
  /** What the amounts of #events add up to, and since when. */
  #sum = 0;
  #since: number;

  /** @param now milliseconds, as in all methods */
  constructor(now: number) {
    this.#since = now;
  }

  record(amount: number, now: number): void {
    this.#events.push({ amount, at: now });
    this.#sum += amount;
    while (this.#events.length > fewestEvents && now - this.#events[0]!.at >= shortestMs) {
      const { amount: oldest, at } = this.#events.shift()!;
      this.#sum -= oldest;
      this.#since = at;
    }
  }

  /** null: nothing seen yet. */
  perSecond(now: number): number | null {
    if (this.#sum === 0 || now === this.#since) return null;
    return (this.#sum * 1000) / (now - this.#since);
  }
}

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
