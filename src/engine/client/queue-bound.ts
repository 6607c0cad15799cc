import type { Clock } from '../protocol/clock.ts';

/** How long a turn is kept after its time, for slow clients and networks. */
const graceMs = 5000;
/** Maximum number of turns still to come: about 10 MB. */
const maxReservations = 65_536;

/**
 * Remembers when refused requests should come back, and recognises them by `key` when they do. A key may have several
 * turns. Times are milliseconds on one monotonic clock.
 */
export class RetryReservations {
  /** Turns still to come, in order. */
  readonly #coming: { key: string; at: number }[] = [];
  /** Turns that have come: count per key, in the order in which they expire. */
  readonly #come = new Map<string, { count: number; until: number }>();

  /** Whether there is nobody to keep room for. */
  isEmpty(now: number): boolean {
    this.#advance(now);
    return this.#coming.length === 0 && this.#come.size === 0;
  }

  /** @param at not before the time of the turn added last */
  add(key: string, at: number): void {
    if (this.#coming.length < maxReservations) this.#coming.push({ key, at });
  }

  /** Uses up a turn of `key`. @returns whether it had one */
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

/** The rate covers at least this many events, so that slow queues count too, */
const minEvents = 64;
/** and at least this many milliseconds, because requests that run together often end together. */
const minWindowMs = 5000;

/** The recent rate at which a queue drains. */
export class DrainRate {
  readonly #events: { amount: number; at: number }[] = [];
  /** Sum of the amounts in #events, and since when. */
  #sum = 0;
  #since: number;

  /** @param now milliseconds, as in all methods */
  constructor(now: number) {
    this.#since = now;
  }

  record(amount: number, now: number): void {
    this.#events.push({ amount, at: now });
    this.#sum += amount;
    while (this.#events.length > minEvents && now - this.#events[0]!.at >= minWindowMs) {
      const { amount: oldest, at } = this.#events.shift()!;
      this.#sum -= oldest;
      this.#since = at;
    }
  }

  /** null: nothing has left yet. */
  perSecond(now: number): number | null {
    if (this.#sum === 0 || now === this.#since) return null;
    return (this.#sum * 1000) / (now - this.#since);
  }
}

/** Amount that waits, in sequences and in prompt tokens. */
export interface QueueAmount {
  requests: number;
  tokens: number;
}

/** `unknown`: nothing has left the queue yet. */
const retrySeconds = { shortest: 1, unknown: 5, longest: 3600 };
/** Share of the queue's drain rate for returning requests; new ones take the rest. */
const shareOfReturning = 0.8;
/** Share of the queue kept for requests that return on time, while any are expected. */
const shareKept = 0.25;

/** The answer when there is no room. */
export interface Refusal {
  retryAfterSeconds: number;
  /** There is room, but it is kept for others. */
  isKept: boolean;
}

/**
 * Counts what waits, of all clients or of one, and says when there will be room. Refused requests get return times one
 * after another, at the rate at which room becomes free: with the same time they would return together and be refused
 * again. Those that return on time are recognised by their key and get a reserved part of the queue, because the
 * overload may not be over.
 */
export class QueueBound {
  readonly #limits: QueueAmount;
  readonly #clock: Clock;
  /** Supplies the speed until something has left this queue. */
  readonly #like: QueueBound | null;
  readonly #requestRate = new DrainRate(0);
  readonly #tokenRate = new DrainRate(0);
  readonly #turns = new RetryReservations();
  readonly held: QueueAmount = { requests: 0, tokens: 0 };
  /** Milliseconds during which something waited, up to #measuredAt: an empty queue says nothing about its speed. */
  #busyMs = 0;
  #measuredAt: number;
  /** Until then, requests refused earlier are expected back. */
  #returnsUntil: number;

  constructor(limits: QueueAmount, clock: Clock, like: QueueBound | null = null) {
    this.#limits = limits;
    this.#clock = clock;
    this.#like = like;
    this.#measuredAt = clock();
    this.#returnsUntil = this.#measuredAt;
  }

  /**
   * @param key identifies the request when it comes back
   * @param excess what must leave before there is room for `asked`
   * @returns null when there is room
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

  /** Records that a sequence got a slot or was given up while it waited. */
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

  /** Clock time, within bounds, when the excess has left and requests refused earlier have had their turn. */
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
