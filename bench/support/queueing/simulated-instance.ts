import type { ServiceCurve } from './service-curve.ts';

export interface Arrival {
  atMs: number;
  tokens: number;
}

export interface Served {
  /** From arrival to a slot. */
  waitMs: number;
  /** From arrival to the last token. */
  totalMs: number;
}

/** One instance as a queue: each step gives every running sequence a token; free slots are filled between steps. */
export class SimulatedInstance {
  readonly #slots: number;
  readonly #curve: ServiceCurve;
  readonly #onServed: (served: Served) => void;
  readonly #waiting: Arrival[] = [];
  #running: { arrival: Arrival; waitMs: number; left: number }[] = [];
  #nowMs = 0;

  constructor(slots: number, curve: ServiceCurve, onServed: (served: Served) => void) {
    this.#slots = slots;
    this.#curve = curve;
    this.#onServed = onServed;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get inProgress(): number {
    return this.#waiting.length + this.#running.length;
  }

  /** Queues a request that arrives no earlier than the time passed to `advanceTo`. */
  take(arrival: Arrival): void {
    if (this.inProgress === 0) this.#nowMs = Math.max(this.#nowMs, arrival.atMs);
    this.#waiting.push(arrival);
  }

  /** Runs all steps that begin before `ms`. */
  advanceTo(ms: number): void {
    while (this.inProgress > 0 && this.#nowMs < ms) this.#step();
  }

  #step(): void {
    while (this.#running.length < this.#slots) {
      const arrival = this.#waiting.shift();
      if (!arrival) break;
      this.#running.push({ arrival, waitMs: this.#nowMs - arrival.atMs, left: arrival.tokens });
    }
    this.#nowMs += this.#curve(this.#running.length);
    for (const each of this.#running) {
      each.left -= 1;
      if (each.left === 0) {
        this.#onServed({ waitMs: each.waitMs, totalMs: this.#nowMs - each.arrival.atMs });
      }
    }
    this.#running = this.#running.filter(({ left }) => left > 0);
  }
}
