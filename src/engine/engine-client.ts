import type { ModelState } from '../catalog/served-model.ts';
import { ServiceError } from '../errors.ts';
import type { Admission } from './admission.ts';
import type { Clock } from './clock.ts';
import type { Engine } from './engine.ts';
import type { EngineObserver } from './engine-observer.ts';
import type { GenerationEvent, GenerationRequest } from './generation.ts';
import type { EngineCommand, EngineReport, Port } from './messages.ts';
import { TrackedRequests } from './tracked-requests.ts';
import { within } from './within.ts';

export interface EngineClientOptions {
  /** The engine worker. */
  port: Port<EngineCommand, EngineReport>;
  /** Names of the models the worker was told to load. */
  models: readonly string[];
  admission: Admission;
  observer: EngineObserver;
  clock: Clock;
  /** @param loadSeconds null when the change is no load */
  onModelState(model: string, state: ModelState, loadSeconds: number | null): void;
  /** Something went wrong inside the engine; `detail` is for the log. @param model null: all of them */
  onFault(model: string | null, detail: string): void;
}

const retryAfterSeconds = { loading: 5, failed: 60, shuttingDown: 1 };

/** The main thread's side of the engine worker. */
export class EngineClient implements Engine {
  readonly #port: Port<EngineCommand, EngineReport>;
  readonly #admission: Admission;
  readonly #observer: EngineObserver;
  readonly #requests: TrackedRequests;
  readonly #states = new Map<string, ModelState>();
  readonly #onModelState: EngineClientOptions['onModelState'];
  readonly #onFault: EngineClientOptions['onFault'];
  readonly #loaded = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #drained: Promise<boolean> | null = null;
  #isGone = false;

  constructor({ port, models, admission, observer, clock, onModelState, onFault }: EngineClientOptions) {
    this.#port = port;
    this.#admission = admission;
    this.#observer = observer;
    this.#requests = new TrackedRequests(admission, observer, clock);
    this.#onModelState = onModelState;
    this.#onFault = onFault;
    for (const model of models) this.#states.set(model, { state: 'loading' });
    port.on('message', (report) => this.#take(report));
  }

  /** Settles when every model was tried, or the worker is gone. */
  whenLoaded(): Promise<void> {
    return this.#loaded.promise;
  }

  generate(requests: readonly GenerationRequest[], signal: AbortSignal): AsyncIterable<GenerationEvent> {
    this.#admit(requests);
    const abort = (ids: string[]) => this.#port.postMessage({ type: 'abort', ids });
    const stream = this.#requests.open(requests, signal, abort);
    this.#port.postMessage({ type: 'submit', requests });
    if (signal.aborted) abort(requests.map(({ id }) => id));
    return stream;
  }

  load(): { waiting: number; running: number; queuedTokens: number } {
    const { waiting, running } = this.#requests;
    return { waiting, running, queuedTokens: this.#admission.queuedTokens };
  }

  /**
   * Takes nothing new, lets what runs go on for `withinMs`, fails the rest with `shutting_down` and closes the worker.
   * @returns whether the worker closed, or was gone, in time; one that did not is inside the model still
   */
  drain(withinMs: number, closeWithinMs = 10_000): Promise<boolean> {
    this.#drained ??= this.#drain(withinMs, closeWithinMs);
    return this.#drained;
  }

  /** The worker is gone: what runs fails, what comes is refused. The first reason counts. */
  workerGone(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    for (const model of this.#states.keys()) {
      if (this.#drained === null) this.#changeState(model, { state: 'failed', message: reason }, null);
    }
    this.#requests.failAll('engine_failure', 'The engine stopped while it ran the request.');
    this.#loaded.resolve();
    this.#closed.resolve();
  }

  /** All of `requests` or none. @throws ServiceError */
  #admit(requests: readonly GenerationRequest[]): void {
    try {
      for (const { model } of requests) this.#requireReady(model);
      this.#admission.reserve(requests);
    } catch (error) {
      const reason = error instanceof ServiceError ? error.code : 'engine_failure';
      this.#observer.rejected(requests[0]?.model ?? '', reason, requests.length);
      throw error;
    }
  }

  #requireReady(model: string): void {
    if (this.#drained !== null) {
      throw new ServiceError('shutting_down', 'The service is about to stop.', {
        retryAfterSeconds: retryAfterSeconds.shuttingDown,
      });
    }
    const state = this.#states.get(model)?.state ?? 'failed';
    if (state !== 'ready') {
      const message =
        state === 'loading' ? `The model '${model}' is loading.` : `The model '${model}' is not available.`;
      throw new ServiceError('not_ready', message, { retryAfterSeconds: retryAfterSeconds[state] });
    }
  }

  async #drain(withinMs: number, closeWithinMs: number): Promise<boolean> {
    await within(withinMs, this.#requests.whenEmpty());
    this.#requests.failAll('shutting_down', 'The service stopped before the request was finished.');
    this.#port.postMessage({ type: 'close' });
    return within(closeWithinMs, this.#closed.promise);
  }

  #take(report: EngineReport): void {
    if (report.type === 'stepped') {
      for (const event of report.events) this.#requests.deliver(event);
      this.#observer.stepped(report.step);
    } else if (report.type === 'loaded') {
      const { type, model, seconds, ...ready } = report;
      this.#changeState(model, { state: 'ready', ...ready }, seconds);
    } else if (report.type === 'load-failed') {
      this.#changeState(report.model, { state: 'failed', message: report.message }, null);
    } else if (report.type === 'fault') {
      this.#onFault(report.model, report.detail);
    } else if (report.type === 'ready') {
      this.#loaded.resolve();
    } else {
      this.#closed.resolve();
    }
  }

  #changeState(model: string, state: ModelState, loadSeconds: number | null): void {
    this.#states.set(model, state);
    this.#onModelState(model, state, loadSeconds);
  }
}
