import type { CacheLayer } from '../../catalog/cache-bytes.ts';
import type { SlotContent, SlotContents } from './slot-contents.ts';

/** Memory of a slot to give back. */
export interface SlotTrim {
  slot: number;
  /** Positions from here on are not needed. */
  length: number;
  /** Nor is what only queries before this position read, in layers with a window. */
  cut: number;
}

export interface CacheMemoryOptions {
  /** Bytes. */
  budget: number;
  layers: readonly CacheLayer[];
  slots: number;
  /** Maximum positions by which a slot grows in a step. */
  chunk: number;
}

/** Maximum share of the budget for what finished requests left. */
const keptShare = 0.5;

/**
 * The memory of a cache whose pages are mapped when they are written. Running requests may always grow to the length
 * that they reserved. What is kept only for later prompts uses the rest of the budget: contents of finished requests,
 * and of running ones what lies behind the windows of their layers. The least recently used is given back first.
 */
export class CacheMemory {
  readonly budget: number;
  readonly #layers: readonly CacheLayer[];
  readonly #chunk: number;
  /** Cuts up to here give nothing back. */
  readonly #firstCut: number;
  /** Positions with memory, by slot. */
  readonly #held: number[];
  #inUse = 0;

  constructor({ budget, layers, slots, chunk }: CacheMemoryOptions) {
    this.budget = budget;
    this.#layers = layers;
    this.#chunk = chunk;
    this.#firstCut = Math.min(...layers.map(({ window }) => window ?? Number.POSITIVE_INFINITY));
    this.#held = new Array(slots).fill(0);
  }

  /** Bytes in use after the last `giveBack`. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Bytes of `length` positions without those that only queries before position `cut` read. */
  bytes(length: number, cut: number): number {
    return this.#layers.reduce((sum, { window, bytesPerToken }) => {
      const gone = window === null ? 0 : Math.max(0, cut - window);
      return sum + bytesPerToken * Math.max(0, length - gone);
    }, 0);
  }

  /** Maximum bytes of a running request of `length` positions: `giveBack` cuts whole chunks behind its last chunk. */
  reservation(length: number): number {
    return this.bytes(length, Math.max(0, length - 2 * this.#chunk));
  }

  /** The longest request, up to `limit` positions, that the budget has room for. */
  longest(limit: number): number {
    let [fits, tooLong] = [0, limit + 1];
    while (tooLong - fits > 1) {
      const middle = Math.floor((fits + tooLong) / 2);
      if (this.reservation(middle) <= this.budget) fits = middle;
      else tooLong = middle;
    }
    return fits;
  }

  /** Records a copy of `length` positions to `slot`, which may be moved on before the next `giveBack`. */
  copied(slot: number, length: number): void {
    this.#held[slot] = Math.max(this.#held[slot]!, length);
  }

  /**
   * Chooses what to give back, so that the rest fits the budget.
   * @param filled by slot, the positions in use after the steps planned so far
   */
  giveBack(contents: SlotContents, filled: readonly number[]): SlotTrim[] {
    const trims = new Map<number, SlotTrim>();
    const trim = (slot: number, length: number, cut: number) => {
      trims.set(slot, { slot, length, cut });
      this.#held[slot] = length;
    };
    const owned: { slot: number; content: SlotContent; bytes: number }[] = [];
    let [total, kept] = [0, 0];
    for (const [slot, length] of filled.entries()) {
      const content = contents.at(slot);
      // Its request expired after a cut behind its prompt, so nothing can continue there.
      if (content !== null && content.cut > length) {
        contents.drop(content);
        trim(slot, 0, 0);
        continue;
      }
      if (length < this.#held[slot]!) trim(slot, length, content?.cut ?? 0);
      this.#held[slot] = length;
      if (content === null) continue;
      const bytes = this.bytes(length, content.cut);
      owned.push({ slot, content, bytes });
      total += bytes;
      if (!content.isLive) kept += bytes;
    }
    for (const { slot, content, bytes } of owned.sort((a, b) => a.content.usedAt - b.content.usedAt)) {
      const isOver = total > this.budget;
      if (!content.isLive && (isOver || kept > keptShare * this.budget)) {
        contents.drop(content);
        trim(slot, 0, 0);
        total -= bytes;
        kept -= bytes;
      } else if (content.isLive && isOver) {
        // The step may still compute the last chunk, and read what its first query reads.
        const cut = filled[slot]! - this.#chunk;
        if (cut - Math.max(content.cut, this.#firstCut) < this.#chunk) continue;
        content.cut = cut;
        trim(slot, filled[slot]!, cut);
        total += this.bytes(filled[slot]!, cut) - bytes;
      }
    }
    this.#inUse = total;
    return [...trims.values()];
  }
}
