import type { Clock } from './clock.ts';
import { errorDetail } from './error-detail.ts';
import type { GenerationRequest } from './generation.ts';
import type { EngineCommand, EngineReport, ModelSpec, Port } from './messages.ts';
import type { ModelEngine } from './model-engine.ts';

export interface WorkerLoopOptions {
  port: Port<EngineReport, EngineCommand>;
  models: readonly ModelSpec[];
  load(spec: ModelSpec): Promise<ModelEngine>;
  clock: Clock;
}

/**
 * The life of an engine worker: loads its models, steps those that have work in turn, sleeps when none has, and closes
 * when told to. Messages are taken between steps.
 */
export class WorkerLoop {
  readonly #port: Port<EngineReport, EngineCommand>;
  readonly #models: readonly ModelSpec[];
  readonly #load: (spec: ModelSpec) => Promise<ModelEngine>;
  readonly #clock: Clock;
  readonly #engines = new Map<string, ModelEngine>();
  readonly #inbox: EngineCommand[] = [];
  #isClosing = false;
  #wake: () => void = () => {};

  constructor({ port, models, load, clock }: WorkerLoopOptions) {
    this.#port = port;
    this.#models = models;
    this.#load = load;
    this.#clock = clock;
    port.on('message', (command) => {
      this.#inbox.push(command);
      if (command.type === 'close') this.#isClosing = true;
      this.#wake();
    });
  }

  /** Ends once told to close. */
  async run(): Promise<void> {
    await this.#loadModels();
    while (!this.#isClosing) {
      this.#takeCommands();
      const busy = [...this.#engines.values()].filter((engine) => engine.hasWork);
      for (const engine of busy) {
        if (this.#isClosing) break;
        this.#port.postMessage(await engine.step());
        await nextTurn();
        this.#takeCommands();
      }
      if (busy.length === 0) await this.#sleep();
    }
    await this.#close();
  }

  async #loadModels(): Promise<void> {
    for (const spec of this.#models) {
      if (this.#isClosing) return;
      const startedAt = this.#clock();
      try {
        const engine = await this.#load(spec);
        this.#engines.set(spec.name, engine);
        const seconds = (this.#clock() - startedAt) / 1000;
        const { runtime, limits } = engine;
        this.#port.postMessage({ type: 'loaded', model: spec.name, seconds, runtime, ...limits });
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#port.postMessage({ type: 'load-failed', model: spec.name, message });
      }
      // Loading blocks the thread; a word to close must not have to wait for every model.
      await nextTurn();
    }
    this.#port.postMessage({ type: 'ready' });
  }

  #takeCommands(): void {
    for (const command of this.#inbox.splice(0)) {
      if (command.type === 'submit') {
        for (const request of command.requests) this.#submit(request);
      } else if (command.type === 'abort') {
        for (const engine of this.#engines.values()) engine.abort(command.ids);
      }
    }
  }

  #submit(request: GenerationRequest): void {
    const engine = this.#engines.get(request.model);
    if (!engine) throw new Error(`a request for ${request.model}, which was never reported as loaded`);
    engine.submit(request);
  }

  async #sleep(): Promise<void> {
    if (this.#inbox.length > 0 || this.#isClosing) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }

  async #close(): Promise<void> {
    this.#takeCommands();
    for (const engine of this.#engines.values()) {
      try {
        this.#port.postMessage(await engine.close());
      } catch (error) {
        this.#port.postMessage({ type: 'fault', model: engine.name, detail: errorDetail(error) });
      }
    }
    this.#port.postMessage({ type: 'closed' });
  }
}

/** Lets the messages that have arrived be taken. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
