const tableSize = 1 << 16;
const one = 0x3f80;

/** A stream of normally distributed bfloat16 numbers: fast enough for billions, reproducible by seed. */
export class RandomBfloat16 {
  readonly #normal = new Float32Array(tableSize);
  readonly #tables = new Map<number, Uint16Array>();
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
    const uniform = () => (this.#next() + 0.5) / 2 ** 32;
    for (let n = 0; n < tableSize; n += 1) {
      this.#normal[n] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    }
  }

  /** @param deviation standard deviation; null: all ones */
  fill(numbers: Uint16Array, deviation: number | null): void {
    if (deviation === null) {
      numbers.fill(one);
      return;
    }
    const table = this.#tableOf(deviation);
    for (let n = 0; n < numbers.length; n += 2) {
      const random = this.#next();
      numbers[n] = table[random & 0xffff]!;
      if (n + 1 < numbers.length) numbers[n + 1] = table[random >>> 16]!;
    }
  }

  #tableOf(deviation: number): Uint16Array {
    let table = this.#tables.get(deviation);
    if (!table) {
      const scaled = this.#normal.map((value) => value * deviation);
      // The upper half of a float32, rounded.
      table = Uint16Array.from(new Uint32Array(scaled.buffer), (word) => (word + 0x8000) >>> 16);
      this.#tables.set(deviation, table);
    }
    return table;
  }

  /** xorshift32 (Marsaglia 2003): unsigned, never 0. */
  #next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }
}
