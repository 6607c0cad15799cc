import type { Clock } from '../protocol/clock.ts';
import type { EngineCommand, EngineReport } from '../protocol/messages.ts';

const minDelayMs = 100;
const maxDelayMs = 30_000;
/** A worker that holds a model for this long has recovered. */
const recoveredMs = 60_000;

/** The delay before an ended worker is started again; doubles each time until a worker lasts. */
class RestartDelay {
  #failures = 0;

  /** @param loadedMs how long the ended worker held a model; null: it never did */
  next(loadedMs: number | null): number {
    if (loadedMs !== null && loadedMs >= recoveredMs) this.#failures = 0;
    const delayMs = Math.min(maxDelayMs, minDelayMs * 2 ** this.#failures);
    this.#failures += 1;
    return delayMs;
  }
}

/**
 * Starts an engine worker.
 * @param onReport called with each of its reports
 * @param onEnd called once, when it is gone, whether it was asked to end or not
 */
export type StartWorker = (
  onReport: (report: EngineReport) => void,
  onEnd: (exitCode: number) => void,
) => { postMessage(command: EngineCommand): void };

interface WorkerListener {
  take(report: EngineReport): void;
  /**
   * @param restartInMs time until the next worker starts; null: none will
   * @param exitCode of the thread, if it ended by itself
   */
  ended(restartInMs: number | null, exitCode?: number): void;
  restarting(): void;
  /** The next worker runs and holds no model yet. */
  restarted(): void;
}

/**
 * An engine worker that is started again when it ends by itself, with a growing delay if that repeats. If it ends
 * before a model has ever loaded, it is not started again: the cause is in what it was given.
 */
export class SupervisedWorker {
  readonly #start: StartWorker;
  readonly #clock: Clock;
  readonly #listener: WorkerListener;
  readonly #delay = new RestartDelay();
  #worker: ReturnType<StartWorker> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #loadedAt: number | null = null;
  #hasEverLoaded = false;
  #isClosing = false;

  constructor(start: StartWorker, clock: Clock, listener: WorkerListener) {
    this.#start = start;
    this.#clock = clock;
    this.#listener = listener;
    this.#launch();
  }

  get isRunning(): boolean {
    return this.#worker !== null;
  }

  /** Does nothing while there is no worker. */
  post(command: EngineCommand): void {
    this.#worker?.postMessage(command);
  }

  /** Asks the worker to end and starts no other. */
  close(): void {
    this.#isClosing = true;
    clearTimeout(this.#timer);
    if (this.#worker) this.post({ type: 'close' });
    else this.#listener.ended(null);
  }

  #launch(): void {
    this.#loadedAt = null;
    this.#worker = this.#start(
      (report) => {
        if (report.type === 'loaded') {
          this.#loadedAt ??= this.#clock();
          this.#hasEverLoaded = true;
        }
        this.#listener.take(report);
      },
      (exitCode) => this.#end(exitCode),
    );
  }

  #end(exitCode: number): void {
    this.#worker = null;
    const loadedMs = this.#loadedAt === null ? null : this.#clock() - this.#loadedAt;
    const delayMs = this.#isClosing || !this.#hasEverLoaded ? null : this.#delay.next(loadedMs);
    if (delayMs !== null) {
      this.#timer = setTimeout(() => {
        this.#listener.restarting();
        this.#launch();
        this.#listener.restarted();
      }, delayMs);
    }
    if (this.#isClosing) this.#listener.ended(null);
    else this.#listener.ended(delayMs, exitCode);
  }
}

/** Waits at most `milliseconds` for `promise`. @returns whether it settled in time. @throws its rejection */
export async function within(milliseconds: number, promise: Promise<unknown>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, milliseconds, false);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
