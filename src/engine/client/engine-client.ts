import { Worker } from 'node:worker_threads';
import { ServiceError } from '../../errors.ts';
import { interruptNativeSessions } from '../../runtime/native/native-addon.ts';
import type { Clock } from '../protocol/clock.ts';
import type { Engine, EngineObserver, Generation } from '../protocol/engine.ts';
import type { EngineRequest } from '../protocol/generation.ts';
import {
  type EngineCommand,
  type EngineReport,
  errorDetail,
  type ModelToLoad,
  type WorkerData,
} from '../protocol/messages.ts';
import type { Admission } from './admission.ts';
import { EngineModels, type OnModelState } from './engine-models.ts';
import { type StartWorker, SupervisedWorker, within } from './supervised-worker.ts';
import { TrackedRequests } from './tracked-requests.ts';

export interface EngineClientOptions {
  startWorker: StartWorker;
  /** Cuts short what the worker computes and fails everything it would compute afterwards. */
  interrupt(): void;
  admission: Admission;
  observer: EngineObserver;
  clock: Clock;
  onModelState: OnModelState;
  /** Receives internal errors; `detail` is for the log. @param model null: all models */
  onFault(model: string | null, detail: string): void;
}

/** How often to look for deadlines that the worker misses because it is away or inside a long step. */
const lateCheckMs = 250;

/**
 * The main thread's side of the engine worker. When the worker dies, its running requests fail; the waiting ones go to
 * its successor.
 */
export class EngineClient implements Engine {
  readonly #worker: SupervisedWorker;
  readonly #admission: Admission;
  readonly #observer: EngineObserver;
  readonly #requests: TrackedRequests;
  readonly #models: EngineModels;
  readonly #onFault: EngineClientOptions['onFault'];
  readonly #interrupt: EngineClientOptions['interrupt'];
  readonly #closed = Promise.withResolvers<void>();
  readonly #lateCheck: NodeJS.Timeout;
  /** The worker is not the first, and has loaded nothing yet. */
  #isRestarted = false;
  /** The worker is gone and no other will start. */
  #isOver = false;
  #drained: Promise<boolean> | null = null;

  constructor(options: EngineClientOptions) {
    const { startWorker, interrupt, admission, observer, clock, onModelState, onFault } = options;
    this.#admission = admission;
    this.#observer = observer;
    this.#requests = new TrackedRequests(admission, observer, clock);
    this.#models = new EngineModels(onModelState);
    this.#onFault = onFault;
    this.#interrupt = interrupt;
    this.#worker = new SupervisedWorker(startWorker, clock, {
      take: (report) => this.#take(report),
      ended: (restartInMs, exitCode) => this.#workerEnded(restartInMs, exitCode),
      restarting: () => observer.restarted(),
      restarted: () => this.#workerRestarted(),
    });
    this.#lateCheck = setInterval(() => this.#abort(this.#requests.failLate()), lateCheckMs).unref();
  }

  /** Adds a model. Settles when it is ready or has failed (`onModelState` says which), or when the engine stops. */
  loadModel(model: ModelToLoad): Promise<void> {
    const tried = this.#models.add(model);
    if (this.#isOver) this.#models.failed(model.spec.name, 'The engine has stopped.');
    else this.#postLoad(model);
    return tried;
  }

  /**
   * Removes a model and frees its memory: takes no new requests, lets open ones continue for `withinMs`, fails the
   * rest. Settles when the worker has closed the model or has ended.
   */
  async unloadModel(model: string, withinMs: number): Promise<void> {
    const left = this.#models.leave(model);
    await within(withinMs, this.#requests.whenEmpty(model));
    // It was not there, or the worker has ended meanwhile, and with it the model.
    if (!this.#models.isLeaving(model)) return;
    this.#requests.failAll('not_ready', 'The model was removed before the request was finished.', model);
    if (this.#worker.isRunning) this.#worker.post({ type: 'unload', model });
    else this.#models.left(model);
    await left;
  }

  generate(requests: readonly EngineRequest[], signal: AbortSignal): Generation {
    this.#admit(requests);
    const stream = this.#requests.open(requests, signal, (ids) => this.#abort(ids));
    this.#worker.post({ type: 'submit', requests });
    if (signal.aborted) this.#abort(requests.map(({ id }) => id));
    return stream;
  }

  load(): { waiting: number; running: number; queuedTokens: number } {
    const { waiting, running } = this.#requests;
    return { waiting, running, queuedTokens: this.#admission.queuedTokens };
  }

  /**
   * Takes nothing new, lets open requests continue for `withinMs`, fails the rest with `shutting_down` and closes the
   * worker. A load is interrupted at once. A worker that a long step keeps from closing within `closeWithinMs` is
   * interrupted and gets `endWithinMs`.
   * @returns whether the worker closed, or was gone, in time; otherwise it is still inside the model. Also true for a
   *   worker that was loading, with no requests in it
   */
  drain(withinMs: number, closeWithinMs = 10_000, endWithinMs = 2000): Promise<boolean> {
    this.#drained ??= this.#drain(withinMs, closeWithinMs, endWithinMs);
    return this.#drained;
  }

  /** Admits all of `requests` or none. @throws ServiceError */
  #admit(requests: readonly EngineRequest[]): void {
    try {
      this.#requireOpen();
      for (const { model } of requests) this.#models.requireReady(model);
      this.#admission.reserve(requests);
    } catch (error) {
      const reason = error instanceof ServiceError ? error.code : 'engine_failure';
      this.#observer.rejected(requests[0]?.model ?? '', reason, requests.length);
      throw error;
    }
  }

  #requireOpen(): void {
    if (this.#drained === null) return;
    throw new ServiceError('shutting_down', 'The service is about to stop.', { retryAfterSeconds: 1 });
  }

  #abort(ids: readonly string[]): void {
    // A new worker gets the waiting requests of a model only once it has loaded it.
    const isThere = (id: string) => {
      const model = this.#requests.modelOf(id);
      return this.#worker.isRunning && (model === undefined || this.#models.isReady(model));
    };
    const { there = [], here = [] } = Object.groupBy(ids, (id) => (isThere(id) ? 'there' : 'here'));
    if (there.length > 0) this.#worker.post({ type: 'abort', ids: there });
    if (here.length > 0) this.#requests.abort(here);
  }

  async #drain(withinMs: number, closeWithinMs: number, endWithinMs: number): Promise<boolean> {
    await within(withinMs, this.#requests.whenEmpty());
    this.#requests.failAll('shutting_down', 'The service stopped before the request was finished.');
    const { areTried } = this.#models;
    this.#worker.close();
    // Nobody waits for a load any more.
    if (!areTried) this.#interrupt();
    if (await within(closeWithinMs, this.#closed.promise)) return true;
    this.#interrupt();
    return (await within(endWithinMs, this.#closed.promise)) || !areTried;
  }

  #take(report: EngineReport): void {
    if (report.type === 'stepped') {
      for (const event of report.events) this.#requests.deliver(event);
      this.#observer.stepped(report.step);
    } else if (report.type === 'loaded') {
      this.#models.loaded(report);
      this.#isRestarted = false;
      const requests = this.#requests.waitingFor(report.model);
      if (requests.length > 0) this.#worker.post({ type: 'submit', requests });
      this.#loadAnswered();
    } else if (report.type === 'load-failed') {
      this.#models.failed(report.model, report.message);
      this.#failWaiting(report.model);
      this.#loadAnswered();
    } else if (report.type === 'unloaded') {
      this.#models.left(report.model);
    } else if (report.type === 'fault') {
      this.#onFault(report.model, report.detail);
    } else if (this.#drained !== null) {
      this.#closed.resolve();
    }
  }

  #postLoad(wanted: ModelToLoad): void {
    const { spec, vocabulary } = wanted;
    if (!this.#worker.isRunning) return;
    this.#models.loading(spec.name);
    this.#worker.post({ type: 'load', spec });
    const model = spec.name;
    // Read or not, the vocabulary of a model that has left must not reach another of its name.
    const post = (command: EngineCommand) => this.#models.has(wanted) && this.#worker.post(command);
    vocabulary.then(
      (read) => post({ type: 'vocabulary', model, vocabulary: read }),
      ({ message }: Error) => post({ type: 'vocabulary', model, problem: message }),
    );
  }

  #workerRestarted(): void {
    this.#isRestarted = true;
    for (const model of this.#models.wanted) this.#postLoad(model);
  }

  #loadAnswered(): void {
    // What keeps every model from loading again may be temporary, so try a new worker; the first start shows the rest.
    const isUseless = this.#models.areTried && !this.#models.isServing;
    if (this.#isRestarted && isUseless) this.#worker.post({ type: 'close' });
  }

  /** Waiting requests survive the death of a worker, but not a second one before a model has loaded again. */
  #workerEnded(restartInMs: number | null, exitCode?: number): void {
    if (exitCode !== undefined) {
      const next = restartInMs === null ? 'it is not restarted' : `another starts in ${restartInMs} ms`;
      this.#onFault(null, `The engine's thread exited with code ${exitCode}; ${next}.`);
    }
    this.#requests.failStarted('engine_failure', 'The engine stopped while it ran the request.');
    if (restartInMs === null || !this.#models.isServing) {
      for (const model of this.#models.names) this.#failWaiting(model);
    }
    if (this.#drained === null || restartInMs !== null) this.#models.ended(restartInMs);
    if (restartInMs === null) {
      this.#isOver = true;
      this.#models.abandon();
      clearInterval(this.#lateCheck);
      this.#closed.resolve();
    }
  }

  #failWaiting(model: string): void {
    this.#requests.failWaiting(model, 'not_ready', 'The engine stopped before it started the request.');
  }
}

/** Starts the engine thread and connects to it. The thread prints to this process's own output. */
export function startEngine(
  data: WorkerData,
  options: Omit<EngineClientOptions, 'startWorker' | 'interrupt'>,
): EngineClient {
  // ONNX Runtime reads the process's environment when its library loads, and sends telemetry by default.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  return new EngineClient({
    ...options,
    interrupt: interruptNativeSessions,
    startWorker: (onReport, onEnd) => {
      const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), {
        workerData: data,
        name: 'engine',
      });
      worker.on('message', (report: EngineReport) => onReport(report));
      worker.on('error', (error) => options.onFault(null, errorDetail(error)));
      worker.once('exit', onEnd);
      return worker;
    },
  });
}
