/** Until when new requests are started: so long, or so many. */
export interface Extent {
  durationMs: number;
  requests: number;
}

/**
 * As many clients as asked for that each send the next request when theirs is answered. A server that stalls is asked
 * less meanwhile, so the tail of a closed loop says little (coordinated omission); it is for throughput.
 */
export async function closedLoop<T>(
  concurrency: number,
  { durationMs, requests }: Extent,
  send: (scheduledAt: number) => Promise<T>,
): Promise<T[]> {
  const endsAt = performance.now() + durationMs;
  const results: T[] = [];
  let started = 0;
  const client = async () => {
    while (started < requests && performance.now() < endsAt) {
      started += 1;
      results.push(await send(performance.now()));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return results;
}
