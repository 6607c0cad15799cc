import type { SeededRandom } from '../../../test/support/seeded-random.ts';
import type { Arrival } from './simulated-instance.ts';

/** Independent arrivals, `perSecond` on average. */
export function poissonArrivals(
  random: SeededRandom,
  perSecond: number,
  seconds: number,
  tokens: () => number,
): Arrival[] {
  const arrivals: Arrival[] = [];
  for (let atMs = 0; ; ) {
    atMs -= (1000 * Math.log(1 - random.next())) / perSecond;
    if (atMs > 1000 * seconds) return arrivals;
    arrivals.push({ atMs, tokens: tokens() });
  }
}
