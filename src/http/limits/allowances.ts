/** What is left to somebody: fills up steadily, at most to the whole count. */
interface Allowance {
  left: number;
  /** Milliseconds. */
  at: number;
}

/** Bounds the memory: those who asked longest ago are forgotten beyond this many. */
const maxKnown = 10_000;

/** A rate for each of many names: `count` at once, then one by one as the time passes. */
export class Allowances {
  readonly #count: number;
  readonly #withinMs: number;
  /** In the order in which they last took. */
  readonly #allowances = new Map<string, Allowance>();

  constructor(count: number, withinMs: number) {
    this.#count = count;
    this.#withinMs = withinMs;
  }

  /** A fraction at times; nothing may be taken below 1. */
  left(name: string, now: number): number {
    const before = this.#allowances.get(name);
    if (!before) return this.#count;
    return Math.min(this.#count, before.left + ((now - before.at) * this.#count) / this.#withinMs);
  }

  /** Takes one. @returns what is left, or null and takes nothing when there is none to take */
  take(name: string, now: number): number | null {
    const left = this.left(name, now);
    if (left < 1) return null;
    this.#allowances.delete(name);
    this.#allowances.set(name, { left: left - 1, at: now });
    if (this.#allowances.size > maxKnown) this.#allowances.delete(this.#allowances.keys().next().value!);
    return Math.floor(left - 1);
  }

  /** Until one may be taken. */
  secondsToNext(name: string, now: number): number {
    return ((1 - this.left(name, now)) * this.#withinMs) / this.#count / 1000;
  }
}
