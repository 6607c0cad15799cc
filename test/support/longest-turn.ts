/** What came of a run, and how long it kept this thread's event loop from turning. */
export interface Watched<T> {
  outcome: T | Error;
  /** Processor time of the longest turn, milliseconds: what else runs on the machine does not count. */
  turnMs: number;
}

/** Watches the event loop of this thread while `run` goes on. */
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
