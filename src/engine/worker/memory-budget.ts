import { freemem } from 'node:os';
import { ConfigurationError } from '../../errors.ts';

/** Bytes. */
export interface MemoryNeed {
  weights: number;
  /** For all slots when full, or the budget of a cache that grows with its use. */
  cache: number;
  slots: number;
  /** Positions per slot, decoder and encoder together. */
  positions: number;
  /** The cache takes memory only for what is written. */
  isGrowing: boolean;
}

/**
 * Bytes this process may still take: the machine's free memory, or less if its control group leaves less. Subtracts
 * only the process's own memory from the group's limit: the group's count includes file pages that the kernel can free.
 */
export function availableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(freemem(), limit - process.memoryUsage.rss()) : freemem();
}

/**
 * Maximum share for a model's cache of what its weights leave, unless the operator sets it. ONNX Runtime and the
 * tokenizers need some of the rest.
 */
const cacheShare = 0.7;

/** The memory that models share: what one reserves is not available to the next, touched or not. */
export class MemoryBudget {
  #available: number;

  /** @param available bytes */
  constructor(available: number) {
    this.#available = available;
  }

  /**
   * The default budget of a cache that grows with its use.
   * @param usual bytes that the model should have, so that models that load later have room too
   */
  cacheBudget(weights: number, usual: number): number {
    return Math.min(usual, Math.floor(cacheShare * Math.max(0, this.#available - weights)));
  }

  /**
   * @returns a function that frees the reservation
   * @throws ConfigurationError with what the model needs, when that is more than is available
   */
  reserve({ weights, cache, slots, positions, isGrowing }: MemoryNeed): () => void {
    if (weights + cache > this.#available) {
      const use = isGrowing ? 'its cache' : `the caches of ${slots} slots of ${positions} positions`;
      const setting = isGrowing ? 'ALTUP_CACHE_MEMORY' : 'ALTUP_SLOTS or ALTUP_CONTEXT';
      const remedy = weights > this.#available ? 'Serve' : `Lower ${setting}, serve`;
      throw new ConfigurationError(
        `the model needs at least ${gibibytes(weights + cache)} of memory, ${gibibytes(weights)} for its weights and ` +
          `${gibibytes(cache)} for ${use}; ${gibibytes(Math.max(0, this.#available))} are available. ` +
          `${remedy} fewer models, or give the service more memory.`,
      );
    }
    this.#available -= weights + cache;
    return () => {
      this.#available += weights + cache;
    };
  }
}

export const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`;
