const firstMs = 100;
const longestMs = 30_000;
/** A worker that has held a model for this long has recovered. */
const recoveredMs = 60_000;

/** How long to wait before a worker that has ended is started again: twice as long each time until one lasts. */
export class RestartDelay {
  #failures = 0;

  /** @param loadedMs how long the worker that has ended held a model; null: it never did */
  next(loadedMs: number | null): number {
    if (loadedMs !== null && loadedMs >= recoveredMs) this.#failures = 0;
    const delayMs = Math.min(longestMs, firstMs * 2 ** this.#failures);
    this.#failures += 1;
    return delayMs;
  }
}
