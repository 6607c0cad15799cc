import { Worker } from 'node:worker_threads';
import type { QuantizedRows, QuantizeJob } from './quantize-rows.ts';

/** A thread that quantises. It keeps the process alive only while it has work. */
export class QuantizeThread {
  readonly #worker = new Worker(new URL('./quantize-worker.ts', import.meta.url), { name: 'quantize' });
  /** Jobs it has, first come, first served. */
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
