import { setImmediate } from 'node:timers/promises';

const itemsPerTurn = 4096;

/** Maps a long list without holding up the event loop. */
export async function mapInTurns<T, U>(items: readonly T[], map: (item: T) => U): Promise<U[]> {
  const mapped: U[] = [];
  for (let at = 0; at < items.length; at += itemsPerTurn) {
    if (at > 0) await setImmediate();
    for (const item of items.slice(at, at + itemsPerTurn)) mapped.push(map(item));
  }
  return mapped;
}
