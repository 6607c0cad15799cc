import { availableParallelism } from 'node:os';
import { type QuantizedRows, type QuantizeJob, quantizeRows } from './quantize-rows.ts';
import { QuantizeThread } from './quantize-thread.ts';

/** Starting a thread takes longer than quantising this many numbers. */
const smallJob = 1 << 19;
/** Threads end when there is nothing to do for so long: a server should not keep them. */
const idleMs = 2000;

/** Jobs that are worth having under way at once. */
export const maxJobs = 2 * availableParallelism();

const threads: QuantizeThread[] = [];
let idle: NodeJS.Timeout | undefined;

/** `quantizeRows` on one of as many threads as there are processors, where it is worth one. Takes the job's values away. */
export async function quantizeApart(job: QuantizeJob): Promise<QuantizedRows> {
  if (job.values.length < smallJob) return quantizeRows(job);
  clearTimeout(idle);
  try {
    return await leastBusy().run(job);
  } finally {
    idle = setTimeout(endAll, idleMs).unref();
  }
}

function leastBusy(): QuantizeThread {
  const [first] = threads.toSorted((a, b) => a.jobs - b.jobs);
  if (first && (first.jobs === 0 || threads.length === availableParallelism())) return first;
  const thread = new QuantizeThread();
  threads.push(thread);
  return thread;
}

function endAll(): void {
  if (threads.some(({ jobs }) => jobs > 0)) return;
  for (const thread of threads.splice(0)) thread.end();
}
