import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { e2b } from '../../scripts/random-gemma3n/shape.ts';
import { writeRandomGemma3n } from '../../scripts/random-gemma3n/write-checkpoint.ts';

/**
 * Calls `use` with a checkpoint of Gemma 3n E2B's shape with random weights. E2B_CHECKPOINT names a folder that
 * scripts/random-gemma3n.ts wrote; without it, this writes one of 9 GB and removes it, with all that was put next to it.
 */
export async function withE2b<T>(use: (checkpoint: string) => Promise<T>): Promise<T> {
  const given = process.env.E2B_CHECKPOINT;
  if (given) return await use(given);
  const folder = await mkdtemp(join(tmpdir(), 'altup-e2b-'));
  try {
    const checkpoint = join(folder, 'e2b');
    await writeRandomGemma3n(checkpoint, e2b);
    return await use(checkpoint);
  } finally {
    await rm(folder, { recursive: true });
  }
}
