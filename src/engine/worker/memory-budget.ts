import { freemem } from 'node:os';
import { ConfigurationError } from '../../errors.ts';

/** Bytes. */
export interface MemoryNeed {
  weights: number;
  /** For all slots when full. All of it is reserved, although much may never be touched. */
  cache: number;
  slots: number;
  /** Positions per slot, decoder and encoder together. */
  positions: number;
}

/**
 * Bytes this process may still take: the machine's free memory, or less if its control group leaves less. Subtracts
 * only the process's own memory from the group's limit: the group's count includes file pages that the kernel can free.
 */
export function availableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(freemem(), limit - process.memoryUsage.rss()) : freemem();
}

/** The memory that models share: what one reserves is not available to the next, touched or not. */
export class MemoryBudget {
  #available: number;

  /** @param available bytes */
  constructor(available: number) {
    this.#available = available;
  }

  /**
   * @returns a function that frees the reservation
   * @throws ConfigurationError with what the model needs, when that is more than is available
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
