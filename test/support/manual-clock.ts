import type { Clock } from '../../src/engine/protocol/clock.ts';

/** A clock that only moves when a test advances it. */
export class ManualClock {
  #now: number;

  constructor(start = 0) {
    this.#now = start;
  }

  readonly now: Clock = () => this.#now;

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }
}
