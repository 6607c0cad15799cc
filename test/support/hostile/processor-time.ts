import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { familyOf } from '../process-usage.ts';

/** Linux counts processor time in hundredths of a second. */
const ticksPerSecond = 100;

interface ProcessorTime {
  /** Busy seconds of all processors, including those that another machine took. */
  busy: number;
  /** The part of them used by this process, the service and the service's children. */
  ours: number;
  at: number;
}

export function processorTime(service: number): ProcessorTime {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync(
    '/proc/stat',
    'utf8',
  )
    .split('\n', 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = (user + nice + system + irq + softirq + steal) / ticksPerSecond;
  const ours = [process.pid, ...familyOf(service)].reduce((sum, pid) => sum + secondsOf(pid), 0);
  return { busy, ours, at: performance.now() / 1000 };
}

/** The share of the machine that other programs used since `before`, from 0 to 1. */
export function takenByOthers(service: number, before: ProcessorTime): number {
  const now = processorTime(service);
  const others = now.busy - before.busy - (now.ours - before.ours);
  return Math.min(1, Math.max(0, others / (now.at - before.at) / availableParallelism()));
}

/** Processor seconds of a process and its ended children. */
function secondsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ').map(Number);
    return fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0) / ticksPerSecond;
  } catch {
    return 0;
  }
}
