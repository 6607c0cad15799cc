import { freemem } from 'node:os';
import { ConfigurationError } from '../../errors.ts';
import { executionProviders } from '../../runtime/execution-providers.ts';
import { loadNativeAddon } from '../../runtime/native/native-addon.ts';
import type { Runtime } from '../../runtime/session.ts';

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

/** The words of errors about one kind of memory. */
interface MemoryKind {
  name: string;
  /** Gives models more of it. */
  remedy: string;
}

const hostMemory: MemoryKind = { name: 'memory', remedy: 'give the service more memory' };
const deviceMemory: MemoryKind = { name: 'GPU memory', remedy: 'use a GPU with more memory' };

/** The memory that models share: what one reserves is not available to the next, touched or not. */
export class MemoryBudget {
  #available: number;
  readonly #kind: MemoryKind;

  /** @param available bytes */
  constructor(available: number, kind = hostMemory) {
    this.#available = available;
    this.#kind = kind;
  }

  /**
   * What is available where a runtime's models live: on the GPU with CUDA, otherwise in the host's memory.
   * @throws Error from the GPU's driver
   */
  static for({ backend, executionProvider }: Runtime): MemoryBudget {
    const { freeMemory } = executionProviders[executionProvider];
    const { addon } = backend === 'native' ? loadNativeAddon() : { addon: null };
    if (freeMemory === null || addon === null) return new MemoryBudget(availableMemory());
    return new MemoryBudget(freeMemory(addon), deviceMemory);
  }

  /** Bytes that a model with a reservation may take in addition to its cache, as long as no other one is loaded. */
  besidesCache({ weights }: Pick<MemoryNeed, 'weights'>): number {
    return this.#available + weights;
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
        `the model needs at least ${gibibytes(weights + cache)} of ${this.#kind.name}, ${gibibytes(weights)} for its weights and ` +
          `${gibibytes(cache)} for ${use}; ${gibibytes(Math.max(0, this.#available))} are available. ` +
          `${remedy} fewer models, or ${this.#kind.remedy}.`,
      );
    }
    this.#available -= weights + cache;
    return () => {
      this.#available += weights + cache;
    };
  }
}

export const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`;
