/**
 * Keys or values of one layer for all slots in host memory, fp32 [slots, heads, capacity, headSize].
 *
 * The buffer starts small and doubles as positions are needed: attention kernels and the copies that
 * ONNX Runtime makes of it cost by capacity, not by the positions in use. Unused positions stay zero or
 * stale but always finite, which masked attention relies on.
 */
export class SlotCache {
  readonly slots: number;
  readonly heads: number;
  readonly headSize: number;
  /** Positions a slot may ever need. */
  readonly maxCapacity: number;
  #capacity: number;
  #data: Float32Array;

  constructor(shape: { slots: number; heads: number; headSize: number; maxCapacity: number }) {
    this.slots = shape.slots;
    this.heads = shape.heads;
    this.headSize = shape.headSize;
    this.maxCapacity = shape.maxCapacity;
    this.#capacity = Math.min(64, shape.maxCapacity);
    this.#data = new Float32Array(this.slots * this.#slotLength());
  }

  /** Positions a slot holds now. */
  get capacity(): number {
    return this.#capacity;
  }

  #slotLength(): number {
    return this.heads * this.#capacity * this.headSize;
  }

  /** The cache of `count` slots from `first`, fp32 [count, heads, capacity, headSize], and its dims. */
  view(first: number, count: number): { data: Float32Array; dims: number[] } {
    const length = this.#slotLength();
    return {
      data: this.#data.subarray(first * length, (first + count) * length),
      dims: [count, this.heads, this.#capacity, this.headSize],
    };
  }

  /** Grows the cache so that every slot holds at least `positions`. */
  reserve(positions: number): void {
    if (positions <= this.#capacity) return;
    if (positions > this.maxCapacity) {
      throw new RangeError(`slot cache: ${positions} positions asked for, ${this.maxCapacity} is the limit`);
    }
    const before = this.#data;
    const oldRow = this.#capacity * this.headSize;
    this.#capacity = Math.min(this.maxCapacity, Math.max(positions, 2 * this.#capacity));
    const newRow = this.#capacity * this.headSize;
    this.#data = new Float32Array(this.slots * this.#slotLength());
    for (let row = 0; row < this.slots * this.heads; row += 1) {
      this.#data.set(before.subarray(row * oldRow, (row + 1) * oldRow), row * newRow);
    }
  }

  /**
   * Writes consecutive positions of one slot as projections yield them.
   * @param rows fp32 [positions, heads × headSize]
   */
  writePositions(slot: number, from: number, rows: Float32Array): void {
    const width = this.heads * this.headSize;
    const positions = rows.length / width;
    for (let position = 0; position < positions; position += 1) {
      for (let head = 0; head < this.heads; head += 1) {
        const source = position * width + head * this.headSize;
        this.#data.set(
          rows.subarray(source, source + this.headSize),
          this.#offset(slot, head, from + position),
        );
      }
    }
  }

  /**
   * Writes the first positions of one slot, head by head.
   * @param block fp32 [heads, positions, headSize]
   */
  writeHeads(slot: number, block: Float32Array): void {
    const perHead = block.length / this.heads;
    for (let head = 0; head < this.heads; head += 1) {
      this.#data.set(block.subarray(head * perHead, (head + 1) * perHead), this.#offset(slot, head, 0));
    }
  }

  /** Copies the first `positions` of slot `from` over those of slot `to`. */
  copy(from: number, to: number, positions: number): void {
    for (let head = 0; head < this.heads; head += 1) {
      const source = this.#offset(from, head, 0);
      this.#data.copyWithin(this.#offset(to, head, 0), source, source + positions * this.headSize);
    }
  }

  #offset(slot: number, head: number, position: number): number {
    return ((slot * this.heads + head) * this.#capacity + position) * this.headSize;
  }
}
