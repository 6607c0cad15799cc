/** Weight of an event falls to 1/e in this many milliseconds. */
const memoryMs = 20_000;

/** How much leaves a queue per second, recent times counting most (an exponentially decaying average). */
export class DrainRate {
  readonly #firstAt: number;
  #lastAt: number;
  /** Sum of amounts, each decayed by its age at #lastAt. */
  #decayed = 0;

  /** @param now milliseconds, as in all methods */
  constructor(now: number) {
    this.#firstAt = now;
    this.#lastAt = now;
  }

  record(amount: number, now: number): void {
    this.#decayed = this.#decayed * decay(now - this.#lastAt) + amount;
    this.#lastAt = now;
  }

  /** Unbiased from the start: the average is over the time watched, not over time before it. null: nothing seen yet. */
  perSecond(now: number): number | null {
    const watched = 1 - decay(now - this.#firstAt);
    if (this.#decayed === 0 || watched === 0) return null;
    return (this.#decayed * decay(now - this.#lastAt)) / (watched * (memoryMs / 1000));
  }
}

const decay = (ageMs: number) => Math.exp(-ageMs / memoryMs);
