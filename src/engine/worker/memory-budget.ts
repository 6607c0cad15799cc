import { freemem } from 'node:os';
import { ConfigurationError } from '../../errors.ts';

/** Bytes. */
export interface MemoryNeed {
  weights: number;
  /** Of all slots when they are full: reserved, though much of it may never be touched. */
  cache: number;
  slots: number;
  /** Positions of a slot, decoder's and encoder's. */
  positions: number;
}

/**
 * What this process may still take: what the machine has free, and what its control group leaves it. Counted from
 * what the process holds itself, since a group's own count includes file pages that the kernel would give back.
 */
export function availableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(freemem(), limit - process.memoryUsage.rss()) : freemem();
}

/** The memory that models are loaded into: what one reserves is not there for the next, touched or not. */
export class MemoryBudget {
  #available: number;

  /** @param available bytes */
  constructor(available: number) {
    this.#available = available;
  }

  /**
   * @returns gives it back
   * @throws ConfigurationError with what the model needs, when that is more than there is
   */
  reserve({ weights, cache, slots, positions }: MemoryNeed): () => void {
    if (weights + cache > this.#available) {
      throw new ConfigurationError(
        `the model needs at least ${gibibytes(weights + cache)} of memory, ${gibibytes(weights)} for its weights and ` +
          `${gibibytes(cache)} for the caches of ${slots} slots of ${positions} positions; ` +
          `${gibibytes(Math.max(0, this.#available))} are available. Lower ALTUP_SLOTS or ALTUP_CONTEXT, ` +
          'serve fewer models, or give the service more memory.',
      );
    }
    this.#available -= weights + cache;
    return () => {
      this.#available += weights + cache;
    };
  }
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`;
