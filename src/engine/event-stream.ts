import type { GenerationEvent } from './generation.ts';

type Result = IteratorResult<GenerationEvent, undefined>;

/** Events handed from the engine to one consumer; whoever leaves the loop early is reported. */
export class EventStream implements AsyncIterableIterator<GenerationEvent> {
  readonly #onLeave: () => void;
  readonly #events: GenerationEvent[] = [];
  readonly #consumers: ((result: Result) => void)[] = [];
  #isClosed = false;

  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  push(event: GenerationEvent): void {
    if (this.#isClosed) return;
    const consumer = this.#consumers.shift();
    if (consumer) consumer({ done: false, value: event });
    else this.#events.push(event);
  }

  /** No event follows; those not consumed yet still are delivered. */
  close(): void {
    this.#isClosed = true;
    for (const consumer of this.#consumers.splice(0)) consumer({ done: true, value: undefined });
  }

  next(): Promise<Result> {
    const event = this.#events.shift();
    if (event) return Promise.resolve({ done: false, value: event });
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#consumers.push(resolve));
  }

  return(): Promise<Result> {
    this.#events.length = 0;
    if (!this.#isClosed) {
      this.close();
      this.#onLeave();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
