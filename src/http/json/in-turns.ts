import { setImmediate } from 'node:timers/promises';

/** Milliseconds of work after which other work gets a turn. */
const turnMs = 5;
/** Values to write at once: about a millisecond of work. */
const valuesAtOnce = 2048;
/** Characters to collect as strings before they become bytes. */
const blockLength = 65_536;

/** Divides long work into turns, so that other work on the event loop runs in between. */
export class Turns {
  #since = performance.now();

  /** Await between small pieces of work. Waits only if the turn has become long. */
  next(): Promise<void> | undefined {
    return performance.now() - this.#since < turnMs ? undefined : this.#wait();
  }

  async #wait(): Promise<void> {
    await setImmediate();
    this.#since = performance.now();
  }
}

let lastWhole: Promise<unknown> = Promise.resolve();

/** Await before work that cannot be divided: no two such pieces run in the same turn of the event loop. */
export function wholeTurn(): Promise<unknown> {
  lastWhole = lastWhole.then(() => setImmediate());
  return lastWhole;
}

/** JSON as UTF-8. As a value within another, it is copied as it is. */
export class WrittenJson {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  toString(): string {
    return this.bytes.toString();
  }
}

/**
 * Writes a long list as JSON without holding up the event loop. Only the text of each item stays in memory.
 * @param write returns an item as JSON
 */
export async function writeListInTurns<T>(
  items: Iterable<T>,
  write: (item: T, index: number) => string,
): Promise<WrittenJson> {
  const turns = new Turns();
  const text = new JsonText();
  let index = 0;
  text.add('[');
  for (const item of items) {
    text.add(index === 0 ? '' : ',', write(item, index));
    index += 1;
    const turn = turns.next();
    if (turn) await turn;
  }
  text.add(']');
  return text.written();
}

/**
 * `JSON.stringify` for many megabytes of plain data, without holding up the event loop. Parts may already be
 * `WrittenJson`.
 */
export async function writeInTurns(value: unknown): Promise<WrittenJson> {
  const text = new JsonText();
  await write(value, text, new Turns());
  return text.written();
}

/** Text that grows at its end. Stores bytes, because V8 keeps several copies of a long joined string for some time. */
class JsonText {
  #strings: string[] = [];
  #length = 0;
  readonly #blocks: Buffer[] = [];

  add(...strings: string[]): void {
    for (const string of strings) {
      this.#strings.push(string);
      this.#length += string.length;
    }
    if (this.#length >= blockLength) this.#endBlock();
  }

  append({ bytes }: WrittenJson): void {
    this.#endBlock();
    this.#blocks.push(bytes);
  }

  written(): WrittenJson {
    this.#endBlock();
    return new WrittenJson(this.#blocks.length === 1 ? this.#blocks[0]! : Buffer.concat(this.#blocks));
  }

  #endBlock(): void {
    if (this.#length > 0) this.#blocks.push(Buffer.from(this.#strings.join('')));
    this.#strings = [];
    this.#length = 0;
  }
}

async function write(value: unknown, text: JsonText, turns: Turns): Promise<void> {
  await turns.next();
  if (value instanceof WrittenJson) text.append(value);
  else if (typeof value !== 'object' || value === null || countValues(value) < valuesAtOnce)
    text.add(JSON.stringify(value));
  else if (Array.isArray(value)) await writeItems(value, text, turns);
  else {
    let separator = '{';
    for (const [key, field] of Object.entries(value)) {
      if (field === undefined) continue;
      text.add(separator, JSON.stringify(key), ':');
      await write(field, text, turns);
      separator = ',';
    }
    text.add(separator === '{' ? '{}' : '}');
  }
}

/** Writes small items together. */
async function writeItems(items: readonly unknown[], text: JsonText, turns: Turns): Promise<void> {
  let separator = '[';
  let together: unknown[] = [];
  let count = 0;
  const flush = () => {
    if (together.length > 0) text.add(separator, JSON.stringify(together).slice(1, -1));
    if (together.length > 0) separator = ',';
    together = [];
    count = 0;
  };
  for (const item of items) {
    const values = countValues(item);
    if (count + values >= valuesAtOnce) {
      flush();
      await turns.next();
    }
    if (values >= valuesAtOnce) {
      text.add(separator);
      separator = ',';
      await write(item, text, turns);
    } else {
      together.push(item);
      count += values;
    }
  }
  flush();
  text.add(separator === '[' ? '[]' : ']');
}

/** Stops counting at `valuesAtOnce`. */
function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  if (value instanceof WrittenJson) return valuesAtOnce;
  let count = 1;
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    count += countValues(item);
    if (count >= valuesAtOnce) break;
  }
  return count;
}
