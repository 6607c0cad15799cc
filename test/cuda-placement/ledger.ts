import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';

const recordBytes = 256;
const nameStart = 8;

/** What the stand-in counted, by entry: `call cudaMalloc`, `launch …`, `bytes host to device`, for example. */
export type Counts = Record<string, number>;

/** The file in which the stand-in counts calls and finds which one shall fail (stand-in/ledger.cpp). */
export class Ledger {
  readonly #path: string;
  #seen: Counts = {};

  constructor(path: string) {
    this.#path = path;
    // The stand-in begins with its first call.
    writeFileSync(path, Buffer.alloc(2 * recordBytes));
  }

  /** Counts since the process began. */
  total(): Counts {
    const file = readFileSync(this.#path);
    const counts: Counts = {};
    for (let at = recordBytes; file[at + nameStart]; at += recordBytes) {
      const name = file.toString('utf8', at + nameStart, file.indexOf(0, at + nameStart));
      counts[name] = Number(file.readBigInt64LE(at));
    }
    return counts;
  }

  /** Counts since the last call of this method. */
  take(): Counts {
    const total = this.total();
    const changes = Object.entries(total).map(([name, count]) => [name, count - (this.#seen[name] ?? 0)]);
    this.#seen = total;
    return Object.fromEntries(changes.filter(([, change]) => change !== 0));
  }

  /** Lets the next `call` fail, once; null: none. */
  failNext(call: string | null): void {
    const record = Buffer.alloc(recordBytes);
    record.writeBigInt64LE(call === null ? 0n : 1n);
    record.write(call ?? '', nameStart);
    const file = openSync(this.#path, 'r+');
    // The name before the number, which makes it valid.
    writeSync(file, record, nameStart, recordBytes - nameStart, nameStart);
    writeSync(file, record, 0, nameStart, 0);
    closeSync(file);
  }
}

/** The number of all entries that begin with `prefix`. */
export function sum(counts: Counts, prefix: string): number {
  const matching = Object.entries(counts).filter(([name]) => name.startsWith(prefix));
  return matching.reduce((total, [, count]) => total + count, 0);
}
