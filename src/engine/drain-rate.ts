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
