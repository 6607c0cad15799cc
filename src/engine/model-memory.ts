import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheBytesPerToken } from '../catalog/cache-bytes.ts';
import type { Manifest } from '../catalog/manifest.ts';
import type { MemoryNeed } from './memory-budget.ts';

/** What a model will take, by the sizes of its files and the shape of its cache. @param folder of the export */
export async function modelMemory(
  manifest: Manifest,
  { folder, slots, maxContext }: { folder: string; slots: number; maxContext: number },
): Promise<MemoryNeed> {
  const capacity = Math.min(maxContext, manifest.contextLength);
  const encoderCapacity = Math.min(maxContext, manifest.encoderContextLength ?? 0);
  const { own, cross } = cacheBytesPerToken(manifest);
  const graphs = Object.values(manifest.graphs).filter((file) => file !== null);
  const sizes = await Promise.all(
    graphs.flatMap((file) => [file, `${file}.data`]).map((file) => sizeOf(join(folder, file))),
  );
  return {
    weights: sizes.reduce((sum, size) => sum + size, 0),
    cache: slots * (capacity * own + encoderCapacity * cross),
    slots,
    positions: capacity + encoderCapacity,
  };
}

/** 0 where there is none: small graphs have no external data. */
async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => null))?.size ?? 0;
}
