import { type EngineRequest, type GenerationRequest, promptLength } from '../protocol/generation.ts';

type Ranked = Pick<EngineRequest, 'task' | 'id' | 'priority' | 'arrivedAt' | 'client' | 'promptTokens'> &
  Partial<Pick<GenerationRequest, 'completionPrefix' | 'maxTokens'>>;

/** The slot that the next request could get. `spare`: it is reserved for clients that hold none. */
export type NextSlot = 'free' | 'spare' | 'none';

interface Client<T> {
  waiting: T[];
  /** Slots its requests hold. */
  holding: number;
  /** Tokens charged to it, on top of the floor it started at. */
  served: number;
  /** When it last had a request here, in milliseconds. */
  seenAt: number;
}

/** Each wait of this length raises a request by one priority among its client's requests. */
export const ageingMs = 10_000;
/** The queue forgets a client's charges this long after its last request. */
export const forgetMs = 10_000;
/** Tokens by which an urgent request's client may run ahead of its share. */
export const headStartTokens = 4096;

/**
 * Requests that wait for a slot, and embedding requests, which wait only for a step. Start-time fair queueing (Goyal et
 * al. 1996) shares the slots between clients: the client with the lowest charge goes first. A request is charged its
 * prompt and `maxTokens` when it starts; what it did not compute is refunded when it ends.
 *
 * - Priority and age only order the requests of one client. Priorities below 0 also give their client a bounded head
 *   start.
 * - The last free slots, the spare ones, are for clients that hold none. So a client with few requests never waits for
 *   a long sequence of a client with many.
 */
export class WaitingQueue<T extends Ranked> {
  readonly #clients = new Map<string, Client<T>>();
  #size = 0;
  /** The charge of the client served last. New clients start there, so that nobody builds up credit while away. */
  #floor = 0;

  get size(): number {
    return this.#size;
  }

  add(request: T): void {
    let client = this.#clients.get(request.client);
    if (!client) {
      client = { waiting: [], holding: 0, served: this.#floor, seenAt: request.arrivedAt };
      this.#clients.set(request.client, client);
    }
    if (client.waiting.length === 0) client.served = Math.max(client.served, this.#floor);
    client.waiting.push(request);
    this.#size += 1;
  }

  /**
   * The request that starts next; null when none of those that wait may have `slot`, and all need one.
   * @param now milliseconds, on the clock of `arrivedAt`
   * @param isPassed whether a client's requests are passed over
   */
  first(now: number, slot: NextSlot, isPassed = (_client: string) => false): T | null {
    this.#forgetInactive(now);
    let best: { head: T; share: number } | null = null;
    for (const [name, client] of this.#clients) {
      if (isPassed(name)) continue;
      const mayHaveSlot = slot === 'free' || (slot === 'spare' && client.holding === 0);
      const ready = mayHaveSlot ? client.waiting : client.waiting.filter((request) => !needsSlot(request));
      if (ready.length === 0) continue;
      const head = headOf(ready, now);
      const share = shareOf(client, head);
      const isBefore =
        best === null || (share === best.share ? head.arrivedAt < best.head.arrivedAt : share < best.share);
      if (isBefore) best = { head, share };
    }
    return best?.head ?? null;
  }

  /**
   * Records that `request` left the queue.
   * @param isPassing others that wait come before it. Their clients are not left behind: the floor stays.
   */
  take(request: T, isPassing = false): void {
    const client = this.#clients.get(request.client)!;
    if (!isPassing) this.#floor = Math.max(this.#floor, shareOf(client, request));
    client.served += costOf(request);
    if (needsSlot(request)) client.holding += 1;
    client.waiting.splice(client.waiting.indexOf(request), 1);
    this.#size -= 1;
  }

  /** Records that `request` is done, and gave its slot back if it had one. @param computed tokens, including its prompt */
  release(request: T, computed: number, now: number): void {
    const client = this.#clients.get(request.client)!;
    const refunded = client.served - Math.max(0, costOf(request) - computed);
    client.served = Math.max(refunded, Math.min(client.served, this.#floor));
    if (needsSlot(request)) client.holding -= 1;
    client.seenAt = now;
  }

  /** Removes and returns the requests that `isLeaving` picks. */
  remove(isLeaving: (request: T) => boolean, now: number): T[] {
    const gone: T[] = [];
    for (const client of this.#clients.values()) {
      const leaving = new Set(client.waiting.filter(isLeaving));
      if (leaving.size === 0) continue;
      client.waiting = client.waiting.filter((request) => !leaving.has(request));
      client.seenAt = now;
      gone.push(...leaving);
    }
    this.#size -= gone.length;
    return gone;
  }

  /** Bounds the memory. */
  #forgetInactive(now: number): void {
    for (const [name, { waiting, holding, seenAt }] of this.#clients) {
      if (waiting.length === 0 && holding === 0 && now - seenAt >= forgetMs) this.#clients.delete(name);
    }
  }
}

const needsSlot = ({ task }: Ranked) => task === 'generate';

const costOf = (request: Ranked) => promptLength(request) + (request.maxTokens ?? 0);

const shareOf = <T extends Ranked>({ served }: Client<T>, { priority }: T) =>
  priority < 0 ? served - headStartTokens : served;

/** The next of a client's requests: the most urgent one, or the oldest of equals. */
function headOf<T extends Ranked>(waiting: readonly T[], now: number): T {
  const level = ({ priority, arrivedAt }: T) => priority - Math.floor((now - arrivedAt) / ageingMs);
  return waiting.reduce((head, request) => {
    const difference = level(request) - level(head);
    return difference < 0 || (difference === 0 && request.arrivedAt < head.arrivedAt) ? request : head;
  });
}
