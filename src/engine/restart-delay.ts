const firstMs = 100;
const longestMs = 30_000;
/** A worker that was ready for this long has recovered. */
const recoveredMs = 60_000;

/** How long to wait before a worker that has ended is started again: twice as long each time until one lasts. */
export class RestartDelay {
  #failures = 0;

  /** @param readyMs how long the worker that has ended was ready; null: it never was */
  next(readyMs: number | null): number {
    if (readyMs !== null && readyMs >= recoveredMs) this.#failures = 0;
    const delayMs = Math.min(longestMs, firstMs * 2 ** this.#failures);
    this.#failures += 1;
    return delayMs;
  }
}
