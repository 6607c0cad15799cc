import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type QuantizedRows, type QuantizeJob, quantizeRows } from './quantize-rows.ts';

/** Starting a thread takes longer than quantising fewer numbers than this. */
const smallJob = 1 << 19;
/** Threads end after being idle this long: a server should not keep them. */
const idleMs = 2000;

/** Maximum number of jobs that are useful to run at once. */
export const maxJobs = 2 * availableParallelism();

const threads: QuantizeThread[] = [];
let idle: NodeJS.Timeout | undefined;

/** Runs `quantizeRows`, for large jobs on a pool of one thread per processor. That detaches the buffer of `values`. */
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

/** A thread of the pool. It keeps the process alive only while it has work. */
class QuantizeThread {
  readonly #worker = new Worker(new URL('./quantize-worker.ts', import.meta.url), { name: 'quantize' });
  /** Pending jobs, first come, first served. */
  readonly #answers: PromiseWithResolvers<QuantizedRows>[] = [];

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (made: QuantizedRows) => this.#settle(({ resolve }) => resolve(made)));
    this.#worker.on('error', (error) => {
      while (this.jobs > 0) this.#settle(({ reject }) => reject(error));
    });
  }

  get jobs(): number {
    return this.#answers.length;
  }

  run(job: QuantizeJob): Promise<QuantizedRows> {
    const answer = Promise.withResolvers<QuantizedRows>();
    this.#answers.push(answer);
    this.#worker.ref();
    this.#worker.postMessage(job, [job.values.buffer]);
    return answer.promise;
  }

  end(): void {
    void this.#worker.terminate();
  }

  #settle(how: (answer: PromiseWithResolvers<QuantizedRows>) => void): void {
    how(this.#answers.shift()!);
    if (this.jobs === 0) this.#worker.unref();
  }
}
