import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CacheLayer, cacheBytesPerToken, cacheLayers } from '../../catalog/cache-bytes.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import { growsWithUse, hasInt8Cache, type SessionOptions } from '../../runtime/session.ts';
import type { EngineOptions } from '../protocol/messages.ts';
import { CacheMemory } from '../scheduler/cache-memory.ts';
import type { MemoryBudget, MemoryNeed } from './memory-budget.ts';

/**
 * Slots beyond those that one client may fill. A client that holds none gets one at once, however long another client's
 * sequences are.
 */
export const spareSlots = 1;

/** Default for a cache whose memory is allocated at once. Others get by default the memory that this would take. */
const maxAllocatedContext = 2048;

export interface MemoryPlan {
  need: MemoryNeed;
  layers: CacheLayer[];
  /** Whether the cache holds int8. */
  int8Cache: boolean;
  maxContext: number;
  /** Maximum tokens of a sequence, as far as the memory has room. */
  slotCapacity: number;
}

/**
 * The memory that a model will take with these settings.
 * @param folder the export's
 * @param budget bounds a cache that grows with its use, unless the operator has set one
 */
export async function planMemory(
  manifest: Manifest,
  folder: string,
  options: Pick<
    EngineOptions,
    'slots' | 'maxContext' | 'cacheMemory' | 'cachePrecision' | 'prefillChunk' | 'runtime'
  >,
  budget: Pick<MemoryBudget, 'cacheBudget'>,
): Promise<MemoryPlan> {
  const isGrowing = growsWithUse(options.runtime) && manifest.graphs.encoder === null;
  const maxContext = options.maxContext ?? (isGrowing ? manifest.contextLength : maxAllocatedContext);
  const slots = options.slots + spareSlots;
  const int8Cache = hasInt8Cache(manifest, options.runtime, options.cachePrecision);
  const need = await modelMemory(manifest, { folder, slots, maxContext, int8Cache });
  const slotCapacity = Math.min(maxContext, manifest.contextLength);
  const layers = cacheLayers(manifest, int8Cache);
  if (isGrowing) {
    const bounds = { budget: 0, layers, slots, chunk: options.prefillChunk };
    const one = new CacheMemory(bounds).reservation(slotCapacity);
    const usual = Math.max(one, need.cache * Math.min(1, maxAllocatedContext / slotCapacity));
    const wanted = options.cacheMemory ?? budget.cacheBudget(need.weights, Math.ceil(usual));
    need.cache = Math.min(need.cache, wanted);
  }
  return { need: { ...need, isGrowing }, layers, int8Cache, maxContext, slotCapacity };
}

/** Memory that a model needs, from the sizes of its files and the shape of its cache. @param folder the export's */
export async function modelMemory(
  manifest: Manifest,
  { folder, slots, maxContext, int8Cache }: Omit<SessionOptions, 'threads' | 'memoryLimit'>,
): Promise<Omit<MemoryNeed, 'isGrowing'>> {
  const capacity = Math.min(maxContext, manifest.contextLength);
  const encoderCapacity = Math.min(maxContext, manifest.encoderContextLength ?? 0);
  const { own, cross } = cacheBytesPerToken(manifest, int8Cache);
  return {
    weights: await weightsBytes(manifest, folder),
    cache: slots * (capacity * own + encoderCapacity * cross),
    slots,
    positions: capacity + encoderCapacity,
  };
}

/** Bytes of a model's graphs and their data. @param folder the export's */
export async function weightsBytes({ graphs }: Pick<Manifest, 'graphs'>, folder: string): Promise<number> {
  const files = Object.values(graphs).filter((file) => file !== null);
  const sizes = await Promise.all(
    files.flatMap((file) => [file, `${file}.data`]).map((file) => sizeOf(join(folder, file))),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** 0 when the file is missing: small graphs have no external data. */
async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => null))?.size ?? 0;
}
