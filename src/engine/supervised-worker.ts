import type { Clock } from './clock.ts';
import type { EngineCommand, EngineReport } from './messages.ts';
import { RestartDelay } from './restart-delay.ts';

/**
 * Starts an engine worker.
 * @param onReport is called with all it says
 * @param onEnd is called once, when it is gone, whether it was told to end or not
 */
export type StartWorker = (
  onReport: (report: EngineReport) => void,
  onEnd: (exitCode: number) => void,
) => { postMessage(command: EngineCommand): void };

interface WorkerListener {
  take(report: EngineReport): void;
  /**
   * @param restartInMs until another is started; null: none will be
   * @param exitCode of the thread, if it ended by itself
   */
  ended(restartInMs: number | null, exitCode?: number): void;
  restarting(): void;
  /** Another is there and holds no model yet. */
  restarted(): void;
}

/**
 * An engine worker that is started again when it ends by itself, ever later if it does so again and again. One that
 * ends before it has ever loaded a model is not: the cause is in what it was given.
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

  /** Goes nowhere while there is no worker. */
  post(command: EngineCommand): void {
    this.#worker?.postMessage(command);
  }

  /** Tells the worker to end, and starts no other. */
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
