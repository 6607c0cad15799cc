import { Worker } from 'node:worker_threads';

/** What the thread is asked; answered under the same number. */
export interface TokenizingJob {
  number: number;
  checkpoint: string;
  text: string;
  addSpecialTokens: boolean;
}

export type TokenizingResult = { number: number } & ({ tokens: Int32Array } | { error: string });

/** Turns long texts into tokens beside the event loop, one after another. The thread starts with the first. */
export class TokenizingThread {
  readonly #waiting = new Map<number, PromiseWithResolvers<number[]>>();
  #worker: Worker | null = null;
  #count = 0;

  /** @param checkpoint folder whose tokenizer to use */
  encode(checkpoint: string, text: string, addSpecialTokens: boolean): Promise<number[]> {
    this.#worker ??= this.#start();
    const number = this.#count++;
    const waiting = Promise.withResolvers<number[]>();
    this.#waiting.set(number, waiting);
    const job: TokenizingJob = { number, checkpoint, text, addSpecialTokens };
    this.#worker.postMessage(job);
    return waiting.promise;
  }

  /** Its tokenizer is read anew when it is needed again. */
  forget(checkpoint: string): void {
    this.#worker?.postMessage({ forget: checkpoint });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./tokenizing-worker.ts', import.meta.url), { name: 'tokenizer' });
    // The process may end while the thread is idle.
    worker.unref();
    worker.on('message', (result: TokenizingResult) => this.#take(result));
    worker.on('error', (error) => this.#ended(error));
    worker.on('exit', () => this.#ended(new Error('the tokenizing thread has ended')));
    return worker;
  }

  #take(result: TokenizingResult): void {
    const waiting = this.#waiting.get(result.number);
    this.#waiting.delete(result.number);
    if ('tokens' in result) waiting?.resolve(Array.from(result.tokens));
    else waiting?.reject(new Error(result.error));
  }

  /** The next text starts a new thread. */
  #ended(reason: Error): void {
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}
