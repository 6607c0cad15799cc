import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ConfigurationError } from '../errors.ts';
import { isRunning } from '../is-running.ts';

/** No export takes this long. A process that died left anything older. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** A hidden name next to `name` that identifies its owner: `.<name>.<host>.<process>.<random>.<state>`. */
function unfinishedName(name: string, state: 'partial' | 'old'): string {
  return `.${name}.${hostname()}.${process.pid}.${randomBytes(6).toString('hex')}.${state}`;
}

/** Removes hidden folders in `parent` that killed exporters of `name` left there. */
async function removeLeftovers(parent: string, name: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    if (!entry.startsWith(`.${name}.`)) continue;
    const parts = /^(.+)\.(\d+)\.[0-9a-f]{12}\.(partial|old)$/.exec(entry.slice(name.length + 2));
    if (!parts) continue;
    const path = join(parent, entry);
    if (await isAbandoned(path, parts[1]!, Number(parts[2])))
      await rm(path, { recursive: true, force: true });
  }
}

async function isAbandoned(path: string, host: string, pid: number): Promise<boolean> {
  const changedMs = await lastChangeMs(path);
  if (Date.now() - changedMs > abandonedAfterMs) return true;
  // Processes on another host or in another container are not visible here.
  if (host !== hostname()) return false;
  // A restarted container reuses its process id: an abandoned folder is then older than this process.
  if (pid === process.pid) return changedMs < Date.now() - process.uptime() * 1000;
  return !isRunning(pid);
}

/** Time of the last write to the folder or one of its files, in ms since the epoch; 0 if it is gone. */
async function lastChangeMs(path: string): Promise<number> {
  try {
    const paths = [path, ...(await readdir(path)).map((file) => join(path, file))];
    return Math.max(...(await Promise.all(paths.map(async (each) => (await stat(each)).mtimeMs))));
  } catch {
    return 0;
  }
}

/** Two exporters that swap the same folder at once may disturb each other, but not forever. */
const maxSwaps = 10;

/**
 * Lets `fill` write a hidden folder, then renames it to `target`. Readers of `target` see a complete folder, the old
 * or the new one. Several processes may publish the same target; one of them wins.
 * @param marker a file that marks a folder as ours; a non-empty folder without it is never replaced
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
      // A rename cannot replace a folder that is not empty: move that one away first.
      if ((code !== 'ENOTEMPTY' && code !== 'EEXIST') || attempt === maxSwaps) throw error;
    }
    const old = join(dirname(target), unfinishedName(basename(target), 'old'));
    await rename(target, old).catch((error: NodeJS.ErrnoException) => {
      // ENOENT: another exporter was faster.
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(old, { recursive: true, force: true });
  }
}

/** Makes the rename survive a crash, if the system supports that. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
