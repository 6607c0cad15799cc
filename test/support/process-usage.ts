import { readdirSync, readFileSync } from 'node:fs';

/** Bytes, as Linux counts them. */
export interface ProcessMemory {
  resident: number;
  /** The peak of `resident`. */
  peak: number;
  /** Private memory; the rest is pages of files, which the kernel can reclaim. */
  anonymous: number;
}

const field = (text: string, name: string) =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
const kibibytes = (text: string, name: string) => 1024 * field(text, name);

export function processMemory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    resident: kibibytes(status, 'VmRSS'),
    peak: kibibytes(status, 'VmHWM'),
    anonymous: kibibytes(status, 'RssAnon'),
  };
}

/** The resources of one process, or of several together. */
interface ProcessUsage {
  processes: number;
  /** Bytes. */
  resident: number;
  descriptors: number;
  threads: number;
}

/** The resources of a service and of its temporary helper processes. */
export interface ServiceUsage {
  own: ProcessUsage;
  helpers: ProcessUsage;
}

export function serviceUsage(pid: number): ServiceUsage {
  const [own, ...helpers] = familyOf(pid).map(usageOf);
  const sum = (name: keyof ProcessUsage) => helpers.reduce((total, usage) => total + usage[name], 0);
  return {
    own: own!,
    helpers: {
      processes: sum('processes'),
      resident: sum('resident'),
      descriptors: sum('descriptors'),
      threads: sum('threads'),
    },
  };
}

/** A process and all its descendants. */
export function familyOf(pid: number): number[] {
  const parents = parentsOfAll();
  const family = [pid];
  // The loop also visits the elements that it appends.
  for (const each of family) for (const [child, parent] of parents) if (parent === each) family.push(child);
  return family;
}

/** The resources of a process; zero if it has ended by now. */
function usageOf(pid: number): ProcessUsage {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      resident: kibibytes(status, 'VmRSS') || 0,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      threads: field(status, 'Threads'),
      processes: 1,
    };
  } catch {
    return { resident: 0, descriptors: 0, threads: 0, processes: 0 };
  }
}

/** The parent of each running process. */
function parentsOfAll(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), field(readFileSync(`/proc/${name}/status`, 'utf8'), 'PPid'));
    } catch {
      // The process ended after the listing.
    }
  }
  return parents;
}

/** Size and resident bytes of the largest range of `file` that the process has mapped. */
export function largestMapping(pid: number, file: string): { size: number; resident: number } {
  const found = readFileSync(`/proc/${pid}/smaps`, 'utf8')
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .filter((entry) => entry.split('\n', 1)[0]!.endsWith(file))
    .map((entry) => ({ size: kibibytes(entry, 'Size'), resident: kibibytes(entry, 'Rss') }));
  return found.reduce((a, b) => (a.size > b.size ? a : b), { size: 0, resident: 0 });
}
