import { type ChildProcess, fork } from 'node:child_process';
import type { SentTextJob, TextFailure, TextResult, TextSource } from './text-jobs.ts';

/** Milliseconds beyond a job's own limits, which the process itself keeps, until it is ended from outside. */
const graceMs = 1000;
/** Megabytes of heap it may have: an eighth of what is free, within these bounds. There may be six at a time. */
const heapMegabytes = { min: 256, max: 1024 };
/** All it inherits of the environment, which holds secrets. */
const inherited = ['LD_LIBRARY_PATH', 'TZ'];

/** A process that runs what checkpoints bring (text-worker.ts), one job at a time. It ends with this one. */
export class TextProcess {
  readonly #child: ChildProcess;
  #result: PromiseWithResolvers<TextResult> | null = null;
  readonly #readings = new Set<number>();
  /** Why it is gone, or about to be. */
  #end: TextFailure | null = null;

  constructor() {
    const free = process.availableMemory() / 2 ** 20 / 8;
    const heap = Math.floor(Math.min(heapMegabytes.max, Math.max(heapMegabytes.min, free)));
    this.#child = fork(new URL('./text-worker.ts', import.meta.url), [], {
      serialization: 'advanced',
      // It has nothing to say but its results: not even how it ran out of memory, on many lines.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [`--max-old-space-size=${heap}`, '--v8-pool-size=1'],
      env: Object.fromEntries(
        inherited.flatMap((name) => {
          const value = process.env[name];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    });
    this.#child.unref();
    this.#child.channel?.unref();
    this.#child.on('message', (result: TextResult) => this.#settle(result));
    this.#child.on('error', ({ message }) => this.#ended({ reason: 'other', message }));
    this.#child.on('exit', (code, signal) => {
      const message = `the process ended with ${signal ?? code}`;
      // V8 aborts where an allocation fails; the kernel kills where there is no memory left.
      this.#ended({ reason: signal === null ? 'other' : 'memory', message });
    });
  }

  get isAlive(): boolean {
    return this.#end === null;
  }

  /** It has been through a job of that reading, though it may have made room for others since. */
  hasRead({ reading }: TextSource): boolean {
    return this.#readings.has(reading);
  }

  perform(sent: SentTextJob): Promise<TextResult> {
    this.#result = Promise.withResolvers();
    const { promise } = this.#result;
    const withinMs = sent.loadMs + sent.jobMs + graceMs;
    const timer = setTimeout(() => this.end('time', 'a step of it could not be interrupted'), withinMs);
    this.#child.send(sent, (error) => {
      if (error) this.end('other', error.message);
    });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#readings.add(sent.source.reading);
    });
  }

  /** Kills it. */
  end(reason: TextFailure['reason'], message: string): void {
    this.#ended({ reason, message });
    this.#child.kill('SIGKILL');
  }

  #ended(failure: TextFailure): void {
    this.#end ??= failure;
    this.#settle({ failure: this.#end });
  }

  #settle(result: TextResult): void {
    this.#result?.resolve(result);
    this.#result = null;
  }
}
