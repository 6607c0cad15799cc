/** A copy of `occupant`'s cache rows from one slot to another, for the caller to make. */
export interface SlotMove<T> {
  occupant: T;
  from: number;
  to: number;
}

/**
 * Tracks who holds which slot of the cache. Occupants that decode fill the slots from 0 without a gap, so that one
 * batch covers them; occupants in prefill sit anywhere behind. The caller carries out the returned moves, in order.
 */
export class SlotTable<T> {
  readonly #occupants: (T | null)[];
  readonly #slots = new Map<T, number>();
  readonly #decoding = new Set<T>();
  readonly #choose: (free: readonly number[]) => number;

  /** @param choose picks one of several free slots */
  constructor(size: number, choose: (free: readonly number[]) => number = (free) => free[0]!) {
    this.#occupants = new Array(size).fill(null);
    this.#choose = choose;
  }

  get size(): number {
    return this.#occupants.length;
  }

  get taken(): number {
    return this.#slots.size;
  }

  /** Occupants that decode; after compact(), row i holds slot i. */
  decoding(): T[] {
    return this.#occupants.filter((occupant) => occupant !== null && this.#decoding.has(occupant)) as T[];
  }

  slotOf(occupant: T): number {
    const slot = this.#slots.get(occupant);
    if (slot === undefined) throw new Error('slotOf: the occupant holds no slot');
    return slot;
  }

  get free(): number[] {
    return [...this.#occupants.keys()].filter((slot) => this.#occupants[slot] === null);
  }

  /** Gives a new occupant a free slot; null when none is free. The table must be compact. */
  take(occupant: T, wanted: number | null = null): number | null {
    const slot = wanted ?? this.#chooseFree();
    if (slot !== null) this.#place(occupant, slot);
    return slot;
  }

  /** Frees a slot. Several may be freed before compact() closes the gaps, so that no leaving occupant is moved. */
  release(occupant: T): void {
    this.#occupants[this.slotOf(occupant)] = null;
    this.#slots.delete(occupant);
    this.#decoding.delete(occupant);
  }

  /** Moves the last decoding occupants into the gaps that releases left, with at most one move per gap. */
  compact(): SlotMove<T>[] {
    const moves: SlotMove<T>[] = [];
    const count = this.#decoding.size;
    const strays = this.decoding().filter((occupant) => this.slotOf(occupant) >= count);
    for (let slot = 0; slot < count; slot++) {
      // Slots below `count` hold decoding occupants or are gaps: a new occupant never gets one of them.
      if (this.#occupants[slot] === null) moves.push(this.#move(strays.pop()!, slot));
    }
    return moves;
  }

  /**
   * Adds an occupant that has finished its prefill to the end of the decode batch. The table must be compact.
   * @returns null when another occupant in prefill holds the slot it needs and none is free to swap through: it must
   *   wait until that one is done or someone leaves
   */
  promote(occupant: T): SlotMove<T>[] | null {
    const moves: SlotMove<T>[] = [];
    const target = this.#decoding.size;
    const inTheWay = this.#occupants[target]!;
    if (inTheWay !== occupant) {
      if (inTheWay !== null) {
        const free = this.#chooseFree();
        if (free === null) return null;
        moves.push(this.#move(inTheWay, free));
      }
      moves.push(this.#move(occupant, target));
    }
    this.#decoding.add(occupant);
    return moves;
  }

  #chooseFree(): number | null {
    const { free } = this;
    return free.length === 0 ? null : this.#choose(free);
  }

  #move(occupant: T, to: number): SlotMove<T> {
    const from = this.slotOf(occupant);
    this.#occupants[from] = null;
    this.#place(occupant, to);
    return { occupant, from, to };
  }

  #place(occupant: T, slot: number): void {
    this.#occupants[slot] = occupant;
    this.#slots.set(occupant, slot);
  }
}
