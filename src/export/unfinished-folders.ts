import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** No export takes this long: what is older was left by a process that died. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** A hidden name beside `name` that says who works on it: `.<name>.<host>.<process>.<random>.<state>`. */
export function unfinishedName(name: string, state: 'partial' | 'old'): string {
  return `.${name}.${hostname()}.${process.pid}.${randomBytes(6).toString('hex')}.${state}`;
}

/** Removes the hidden folders that exporters of `name` left in `parent` when they were killed. */
export async function removeLeftovers(parent: string, name: string): Promise<void> {
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
