import { constants } from 'node:fs';
import { copyFile, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isRunning } from '../is-running.ts';

const ending = '.incomplete';
/** A partial file of which nothing shows whose it is belongs to nobody after so long without a new byte. */
const abandonedMs = 60_000;

/**
 * The file into which this process downloads a blob. Each process has its own, so that two that share a cache do not
 * write into each other's. What another one left behind is taken over.
 * @param blob path in the cache
 */
export async function partialFile(blob: string): Promise<string> {
  const own = `${blob}.${process.pid}@${hostname()}${ending}`;
  const folder = dirname(blob);
  let largest = { path: '', size: (await stat(own).catch(() => null))?.size ?? 0 };
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!name.startsWith(`${basename(blob)}.`) || !name.endsWith(ending) || path === own) continue;
    const found = await stat(path).catch(() => null);
    if (found && found.size > largest.size && isAbandoned(name, found.mtimeMs))
      largest = { path, size: found.size };
  }
  if (largest.path) {
    // A copy stays as it is, should its owner write on after all.
    await copyFile(largest.path, own, constants.COPYFILE_FICLONE);
    await rm(largest.path, { force: true });
  }
  return own;
}

function isAbandoned(name: string, writtenMs: number): boolean {
  const [, pid, host] = /\.(\d+)@(.+)\.incomplete$/.exec(name) ?? [];
  return host === hostname() ? !isRunning(Number(pid)) : Date.now() - writtenMs > abandonedMs;
}
