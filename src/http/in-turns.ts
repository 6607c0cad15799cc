import { setImmediate } from 'node:timers/promises';

/** Milliseconds of work after which others get their turn. */
const turnMs = 5;
/** Values that are written at once: about a millisecond's work. */
const valuesAtOnce = 2048;

/** Work on the event loop that lets others have their turn in between. */
export class Turns {
  #since = performance.now();

  /** To be awaited between small pieces of work: at once, unless the turn has become long. */
  next(): Promise<void> | undefined {
    return performance.now() - this.#since < turnMs ? undefined : this.#wait();
  }

  async #wait(): Promise<void> {
    await setImmediate();
    this.#since = performance.now();
  }
}

/** Maps a long list without holding up the event loop. */
export async function mapInTurns<T, U>(
  items: readonly T[],
  map: (item: T, index: number) => U,
): Promise<U[]> {
  const turns = new Turns();
  const mapped: U[] = [];
  for (const [index, item] of items.entries()) {
    mapped.push(map(item, index));
    if (index % 16 === 15) await turns.next();
  }
  return mapped;
}

/** `JSON.stringify` of plain data, which may be many megabytes, without holding up the event loop. */
export async function stringifyInTurns(value: unknown): Promise<string> {
  return write(value, new Turns());
}

async function write(value: unknown, turns: Turns): Promise<string> {
  await turns.next();
  if (typeof value !== 'object' || value === null || countValues(value) < valuesAtOnce)
    return JSON.stringify(value);
  if (Array.isArray(value)) return `[${(await writeItems(value, turns)).join()}]`;
  const fields: string[] = [];
  for (const [key, field] of Object.entries(value)) {
    if (field !== undefined) fields.push(`${JSON.stringify(key)}:${await write(field, turns)}`);
  }
  return `{${fields.join()}}`;
}

/** Small items go together. */
async function writeItems(items: readonly unknown[], turns: Turns): Promise<string[]> {
  const written: string[] = [];
  let together: unknown[] = [];
  let count = 0;
  const flush = () => {
    if (together.length > 0) written.push(JSON.stringify(together).slice(1, -1));
    together = [];
    count = 0;
  };
  for (const item of items) {
    const values = countValues(item);
    if (count + values >= valuesAtOnce) {
      flush();
      await turns.next();
    }
    if (values >= valuesAtOnce) written.push(await write(item, turns));
    else {
      together.push(item);
      count += values;
    }
  }
  flush();
  return written;
}

/** Counts no further than it matters. */
function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  let count = 1;
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    count += countValues(item);
    if (count >= valuesAtOnce) break;
  }
  return count;
}
