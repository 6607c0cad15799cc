/** Contents of a cache: float32 values, or the bits of float16. */
export type CacheNumbers = Float32Array | Uint16Array;

export interface SlotCacheShape {
  slots: number;
  heads: number;
  headSize: number;
  /** Maximum positions per slot. */
  maxCapacity: number;
  /** float16 instead of float32. */
  isHalf: boolean;
}

/**
 * Keys or values of one layer for all slots in host memory, [slots, heads, capacity, headSize].
 *
 * The buffer starts small and doubles on demand, because attention kernels and ONNX Runtime's copies of it cost by
 * capacity, not by the positions in use. Unused positions hold zeros or stale values, but always finite ones: masked
 * attention relies on that.
 */
export class SlotCache {
  readonly slots: number;
  readonly heads: number;
  readonly headSize: number;
  /** Maximum positions per slot. */
  readonly maxCapacity: number;
  #capacity: number;
  readonly #isHalf: boolean;
  #data: CacheNumbers;

  constructor(shape: SlotCacheShape) {
    this.#isHalf = shape.isHalf;
    this.slots = shape.slots;
    this.heads = shape.heads;
    this.headSize = shape.headSize;
    this.maxCapacity = shape.maxCapacity;
    this.#capacity = Math.min(64, shape.maxCapacity);
    this.#data = this.#allocate();
  }

  #allocate(): CacheNumbers {
    const length = this.slots * this.#slotLength();
    return this.#isHalf ? new Uint16Array(length) : new Float32Array(length);
  }

  /** Current positions per slot. */
  get capacity(): number {
    return this.#capacity;
  }

  #slotLength(): number {
    return this.heads * this.#capacity * this.headSize;
  }

  /** The cache of `count` slots from `first`, [count, heads, capacity, headSize], and its dims. */
  view(first: number, count: number): { data: CacheNumbers; dims: number[] } {
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
      throw new RangeError(
        `slot cache: ${positions} positions requested, the maximum is ${this.maxCapacity}`,
      );
    }
    const before = this.#data;
    const oldRow = this.#capacity * this.headSize;
    this.#capacity = Math.min(this.maxCapacity, Math.max(positions, 2 * this.#capacity));
    const newRow = this.#capacity * this.headSize;
    this.#data = this.#allocate();
    for (let row = 0; row < this.slots * this.heads; row += 1) {
      this.#data.set(before.subarray(row * oldRow, (row + 1) * oldRow), row * newRow);
    }
  }

  /**
   * Writes consecutive positions of one slot, in the layout that projections return.
   * @param rows [positions, heads × headSize]
   */
  writePositions(slot: number, from: number, rows: CacheNumbers): void {
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
   * @param block [heads, positions, headSize]
   */
  writeHeads(slot: number, block: CacheNumbers): void {
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
