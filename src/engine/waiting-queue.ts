import type { GenerationRequest } from './generation.ts';

type Ranked = Pick<GenerationRequest, 'id' | 'priority' | 'arrivedAt'>;

/** The one place that says who runs first. */
function comesBefore(a: Ranked, b: Ranked): boolean {
  return a.priority !== b.priority ? a.priority < b.priority : a.arrivedAt < b.arrivedAt;
}

/** Requests that wait for a slot, in the order they will get one; equals keep the order they came in. */
export class WaitingQueue<T extends Ranked> {
  #requests: T[] = [];

  get size(): number {
    return this.#requests.length;
  }

  add(request: T): void {
    let low = 0;
    let high = this.#requests.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comesBefore(request, this.#requests[middle]!)) high = middle;
      else low = middle + 1;
    }
    this.#requests.splice(low, 0, request);
  }

  first(): T | null {
    return this.#requests[0] ?? null;
  }

  takeFirst(): T | null {
    return this.#requests.shift() ?? null;
  }

  /** Takes out and returns those that `isLeaving` picks. */
  remove(isLeaving: (request: T) => boolean): T[] {
    const leaving = this.#requests.filter(isLeaving);
    if (leaving.length > 0) this.#requests = this.#requests.filter((request) => !leaving.includes(request));
    return leaving;
  }
}
