import { setTimeout } from 'node:timers/promises';

/**
 * Starts `send` at each time of a schedule, whatever became of those before.
 * @param times milliseconds from now, in order
 * @param send is given when it was to start, on the clock of `performance.now()`
 * @returns what each resolved to, in the order of the schedule
 */
export async function openLoop<T>(
  times: readonly number[],
  send: (scheduledAt: number) => Promise<T>,
): Promise<T[]> {
  const startedAt = performance.now();
  const pending: Promise<T>[] = [];
  for (const time of times) {
    const left = startedAt + time - performance.now();
    if (left > 0) await setTimeout(left);
    pending.push(send(startedAt + time));
  }
  return Promise.all(pending);
}
