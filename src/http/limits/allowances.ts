/** What one name has left. It refills steadily, up to the whole count. */
interface Allowance {
  left: number;
  /** When `left` was true, in milliseconds. */
  at: number;
}

/** Bounds the memory: beyond this many names, the one that took longest ago is forgotten. */
const maxKnown = 10_000;

/** A rate limit per name: `count` at once, then one at a time as the allowance refills. */
export class Allowances {
  readonly #count: number;
  readonly #withinMs: number;
  /** The name that took longest ago comes first. */
  readonly #allowances = new Map<string, Allowance>();

  constructor(count: number, withinMs: number) {
    this.#count = count;
    this.#withinMs = withinMs;
  }

  /** May be a fraction. Below 1, nothing can be taken. */
  left(name: string, now: number): number {
    const before = this.#allowances.get(name);
    if (!before) return this.#count;
    return Math.min(this.#count, before.left + ((now - before.at) * this.#count) / this.#withinMs);
  }

  /** Takes one. @returns what is left; null if there was none to take */
  take(name: string, now: number): number | null {
    const left = this.left(name, now);
    if (left < 1) return null;
    this.#allowances.delete(name);
    this.#allowances.set(name, { left: left - 1, at: now });
    if (this.#allowances.size > maxKnown) this.#allowances.delete(this.#allowances.keys().next().value!);
    return Math.floor(left - 1);
  }

  /** The wait until one can be taken. */
  secondsToNext(name: string, now: number): number {
    return ((1 - this.left(name, now)) * this.#withinMs) / this.#count / 1000;
  }
}
