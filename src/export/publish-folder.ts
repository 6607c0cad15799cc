import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ConfigurationError } from '../errors.ts';
import { removeLeftovers, unfinishedName } from './unfinished-folders.ts';

/** Two exporters that swap the same folder at once disturb each other once, not forever. */
const maxSwaps = 10;

/**
 * Has `fill` fill a folder out of sight, then puts it in the place of `target` by renaming: whoever opens `target` sees
 * the old folder or the new one, complete. Several processes may publish the same target; one of them wins.
 * @param marker a file that says the folder is one of ours; a folder with other things in it is never replaced
 */
export async function publishFolder<T>(
  target: string,
  marker: string,
  fill: (folder: string) => Promise<T>,
): Promise<T> {
  const parent = dirname(target);
  const unfinished = join(parent, unfinishedName(basename(target), 'partial'));
  await refuseForeign(target, marker);
  try {
    await mkdir(parent, { recursive: true });
    await removeLeftovers(parent, basename(target));
    await mkdir(unfinished);
  } catch (cause) {
    throw new ConfigurationError(`${parent}: cannot be written to: ${(cause as Error).message}`, { cause });
  }
  try {
    const result = await fill(unfinished);
    await swap(unfinished, target);
    await syncFolder(parent);
    return result;
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function refuseForeign(target: string, marker: string): Promise<void> {
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw new ConfigurationError(`${target}: cannot be read as a folder: ${error.message}`, { cause: error });
  });
  if (entries.length > 0 && !entries.includes(marker)) {
    throw new ConfigurationError(
      `${target}: holds other files (${entries[0]}); expected an export or an empty folder`,
    );
  }
}

async function swap(unfinished: string, target: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await rename(unfinished, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A folder cannot be renamed onto one that is not empty: move that one away first.
      if ((code !== 'ENOTEMPTY' && code !== 'EEXIST') || attempt === maxSwaps) throw error;
    }
    const old = join(dirname(target), unfinishedName(basename(target), 'old'));
    await rename(target, old).catch((error: NodeJS.ErrnoException) => {
      // Another exporter was faster.
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(old, { recursive: true, force: true });
  }
}

/** Makes the rename itself survive a crash, where the system can. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
