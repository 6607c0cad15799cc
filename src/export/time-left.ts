/**
 * Estimates the time left from the speed so far: `35 s left`, `4 min left`; empty while it is too early to tell.
 * @param done finished fraction, 0 to 1
 */
export function timeLeft(done: number, elapsedMs: number): string {
  if (elapsedMs < 1000 || done <= 0 || done >= 1) return '';
  const seconds = (elapsedMs / 1000) * (1 / done - 1);
  return seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.round(seconds / 60)} min left`;
}
