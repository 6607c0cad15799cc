import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

type ReadText = (file: string) => string | null;

const readText: ReadText = (file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
};

/** Quota in processors; null: no limit. */
function quotaOf(quota: string | undefined, period: string | undefined): number | null {
  const share = Number(quota) / Number(period);
  return Number.isFinite(share) && share > 0 ? share : null;
}

/** Every group from the process's own up to the root; all their limits apply. */
function ancestors(path: string): string[] {
  return path === '/' ? ['/'] : [path, ...ancestors(dirname(path))];
}

function cgroupQuotas(read: ReadText): number[] {
  const groups = (read('/proc/self/cgroup') ?? '').trim().split('\n');
  const pathOf = (isWanted: (controllers: string) => boolean) =>
    groups.map((line) => line.split(':')).find(([, controllers]) => isWanted(controllers ?? ''))?.[2] ?? '/';
  const v2 = ancestors(pathOf((controllers) => controllers === '')).map((path) => {
    const [quota, period] = (read(join('/sys/fs/cgroup', path, 'cpu.max')) ?? '').trim().split(' ');
    return quotaOf(quota, period);
  });
  const v1 = ancestors(pathOf((controllers) => controllers.split(',').includes('cpu'))).map((path) => {
    const folder = join('/sys/fs/cgroup/cpu', path);
    return quotaOf(
      read(join(folder, 'cpu.cfs_quota_us'))?.trim(),
      read(join(folder, 'cpu.cfs_period_us'))?.trim(),
    );
  });
  return [...v2, ...v1].filter((quota) => quota !== null);
}

/**
 * Threads that can run at once: the cgroup's CPU quota rounded down, at most what the machine offers. With more threads
 * than quota, the kernel would stop them in the middle of a step.
 */
export function availableThreads(
  read: ReadText = readText,
  machine: number = availableParallelism(),
): number {
  return Math.max(1, Math.floor(Math.min(machine, ...cgroupQuotas(read))));
}
