import type { GenerationRequest } from './generation.ts';

type Ranked = Pick<
  GenerationRequest,
  'id' | 'priority' | 'arrivedAt' | 'client' | 'promptTokens' | 'maxTokens'
>;

/** Waiting this long makes a request one priority more urgent, so that none waits for ever behind others. */
export const ageingMs = 10_000;

/**
 * Requests that wait for a slot. The most urgent goes first; of equals, one of the client that has had the least,
 * counted in the tokens a request may take (start-time fair queueing, Goyal et al. 1996); of one client's, the oldest.
 */
export class WaitingQueue<T extends Ranked> {
  #requests: T[] = [];
  /** Tokens by client. */
  readonly #served = new Map<string, number>();
  /** What the client that was last served had had: where one that has not waited before begins. */
  #floor = 0;

  get size(): number {
    return this.#requests.length;
  }

  add(request: T): void {
    const { client } = request;
    if (!this.#requests.some((other) => other.client === client)) {
      this.#served.set(client, Math.max(this.#servedTo(client), this.#floor));
    }
    this.#requests.push(request);
  }

  /** Who is to get the next slot. @param now milliseconds, on the clock of `arrivedAt` */
  first(now: number): T | null {
    let best: T | null = null;
    for (const request of this.#requests) {
      if (best === null || this.#comesBefore(request, best, now)) best = request;
    }
    return best;
  }

  /** `request` has got its slot. */
  take(request: T): void {
    const { client, promptTokens, maxTokens } = request;
    this.#floor = this.#servedTo(client);
    this.#served.set(client, this.#floor + promptTokens.length + maxTokens);
    this.remove((other) => other === request);
  }

  /** Takes out and returns those that `isLeaving` picks. */
  remove(isLeaving: (request: T) => boolean): T[] {
    const leaving = this.#requests.filter(isLeaving);
    if (leaving.length > 0) this.#requests = this.#requests.filter((request) => !leaving.includes(request));
    // Nobody to be fair to; what was counted is forgotten with it.
    if (this.#requests.length === 0) this.#served.clear();
    return leaving;
  }

  #comesBefore(a: T, b: T, now: number): boolean {
    const urgency = level(a, now) - level(b, now);
    if (urgency !== 0) return urgency < 0;
    const share = this.#servedTo(a.client) - this.#servedTo(b.client);
    return share !== 0 ? share < 0 : a.arrivedAt < b.arrivedAt;
  }

  #servedTo(client: string): number {
    return this.#served.get(client) ?? 0;
  }
}

const level = ({ priority, arrivedAt }: Ranked, now: number) =>
  priority - Math.floor((now - arrivedAt) / ageingMs);
