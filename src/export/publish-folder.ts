import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ConfigurationError } from '../errors.ts';

/** No export takes this long: what is older was left by a process that died. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** A hidden name beside `name` that says who works on it: `.<name>.<host>.<process>.<random>.<state>`. */
function unfinishedName(name: string, state: 'partial' | 'old'): string {
  return `.${name}.${hostname()}.${process.pid}.${randomBytes(6).toString('hex')}.${state}`;
}

/** Removes the hidden folders that exporters of `name` left in `parent` when they were killed. */
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
  // Processes of another host, or container, cannot be seen from here.
  if (host !== hostname()) return false;
  // A container that restarts has the same process id again: then the folder is older than this process.
  if (pid === process.pid) return changedMs < Date.now() - process.uptime() * 1000;
  return !isRunning(pid);
}

/** When the folder or one of its files was last written to, in ms since the epoch; 0 if it is gone. */
async function lastChangeMs(path: string): Promise<number> {
  try {
    const paths = [path, ...(await readdir(path)).map((file) => join(path, file))];
    return Math.max(...(await Promise.all(paths.map(async (each) => (await stat(each)).mtimeMs))));
  } catch {
    return 0;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process is there, only not ours.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

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
