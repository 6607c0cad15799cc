/** The outcome of a run, and how long it blocked this thread's event loop. */
export interface Watched<T> {
  outcome: T | Error;
  /** Processor time of the longest turn, milliseconds; other programs on the machine do not count. */
  turnMs: number;
}

/** Measures the event loop of this thread during `run`. */
export async function longestTurn<T>(run: () => Promise<T>): Promise<Watched<T>> {
  const usedMs = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let turnMs = 0;
  let last = usedMs();
  const look = () => {
    const now = usedMs();
    turnMs = Math.max(turnMs, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  const outcome = await run().catch((error: Error) => error);
  clearInterval(timer);
  look();
  return { outcome, turnMs };
}
