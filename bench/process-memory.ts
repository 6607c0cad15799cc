import { readFileSync } from 'node:fs';

/** Bytes, as Linux counts them. */
export interface ProcessMemory {
  resident: number;
  /** The most that was resident at once. */
  peak: number;
  /** Memory of its own; the rest are pages of files, which the kernel can take back. */
  anonymous: number;
}

const kibibytes = (text: string, field: string) =>
  1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);

export function processMemory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    resident: kibibytes(status, 'VmRSS'),
    peak: kibibytes(status, 'VmHWM'),
    anonymous: kibibytes(status, 'RssAnon'),
  };
}

/** Size and resident bytes of the largest range of `file` that the process has mapped. */
export function largestMapping(pid: number, file: string): { size: number; resident: number } {
  const found = readFileSync(`/proc/${pid}/smaps`, 'utf8')
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .filter((entry) => entry.split('\n', 1)[0]!.endsWith(file))
    .map((entry) => ({ size: kibibytes(entry, 'Size'), resident: kibibytes(entry, 'Rss') }));
  return found.reduce((a, b) => (a.size > b.size ? a : b), { size: 0, resident: 0 });
}
