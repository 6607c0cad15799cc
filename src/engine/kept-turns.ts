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
