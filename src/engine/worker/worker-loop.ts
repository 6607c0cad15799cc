import type { VocabularyData } from '../../catalog/tokenizer/vocabulary.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EngineRequest } from '../protocol/generation.ts';
import {
  type EngineCommand,
  type EngineReport,
  errorDetail,
  type ModelSpec,
  type Port,
} from '../protocol/messages.ts';
import type { ModelEngine } from './model-engine.ts';

export interface WorkerLoopOptions {
  port: Port<EngineReport, EngineCommand>;
  /** @param vocabulary resolves at any time during the load */
  load(spec: ModelSpec, vocabulary: Promise<VocabularyData>): Promise<ModelEngine>;
  clock: Clock;
}

/**
 * The main loop of an engine worker. Steps the models that have work in turn, sleeps when none has, loads and closes
 * models on command, and ends on a close command. Takes messages between steps.
 */
export class WorkerLoop {
  readonly #port: Port<EngineReport, EngineCommand>;
  readonly #load: WorkerLoopOptions['load'];
  readonly #clock: Clock;
  readonly #engines = new Map<string, ModelEngine>();
  readonly #inbox: EngineCommand[] = [];
  /** Models to load; the first is being loaded. */
  readonly #loads: ModelSpec[] = [];
  /** By model to load. */
  readonly #vocabularies = new Map<string, PromiseWithResolvers<VocabularyData>>();
  /** Models to close. */
  #leaving: string[] = [];
  #loading: Promise<void> = Promise.resolve();
  #isLoading = false;
  #isClosing = false;
  #isStirred = false;
  #wake: () => void = () => {};

  constructor({ port, load, clock }: WorkerLoopOptions) {
    this.#port = port;
    this.#load = load;
    this.#clock = clock;
    port.on('message', (command) => {
      this.#inbox.push(command);
      if (command.type === 'close') {
        this.#isClosing = true;
        for (const model of this.#vocabularies.keys()) this.#giveUp(model);
      }
      this.#stir();
    });
  }

  /** Returns after a close command. */
  async run(): Promise<void> {
    while (!this.#isClosing) {
      this.#takeCommands();
      await this.#closeLeaving();
      const busy = [...this.#engines.values()].filter((engine) => engine.hasWork);
      for (const engine of busy) {
        if (this.#isClosing) break;
        const others = busy.flatMap((other) => (other === engine ? [] : (other.decodeMs ?? [])));
        const othersMs = others.length === 0 ? null : others.reduce((sum, ms) => sum + ms);
        this.#port.postMessage(await engine.step(othersMs));
        await nextTurn();
        this.#takeCommands();
      }
      if (busy.length === 0) await this.#sleep();
    }
    await this.#loading;
    await this.#close();
  }

  #takeCommands(): void {
    for (const command of this.#inbox.splice(0)) {
      if (command.type === 'submit') {
        for (const request of command.requests) this.#submit(request);
      } else if (command.type === 'abort') {
        for (const engine of this.#engines.values()) engine.abort(command.ids);
      } else if (command.type === 'load') {
        this.#loads.push(command.spec);
        const vocabulary = Promise.withResolvers<VocabularyData>();
        // The load may fail before it waits for it.
        vocabulary.promise.catch(() => {});
        this.#vocabularies.set(command.spec.name, vocabulary);
        if (!this.#isLoading) this.#loading = this.#loadModels();
      } else if (command.type === 'vocabulary') {
        const waiting = this.#vocabularies.get(command.model);
        if ('problem' in command) waiting?.reject(new Error(command.problem));
        else waiting?.resolve(command.vocabulary);
      } else if (command.type === 'unload') {
        this.#leaving.push(command.model);
        this.#giveUp(command.model);
      }
    }
  }

  #submit(request: EngineRequest): void {
    const engine = this.#engines.get(request.model);
    if (!engine) throw new Error(`a request for ${request.model}, which was never reported as loaded`);
    engine.submit(request);
  }

  /** Lets a load end that waits for its vocabulary. */
  #giveUp(model: string): void {
    this.#vocabularies.get(model)?.reject(new Error('The model is no longer wanted.'));
  }

  async #loadModels(): Promise<void> {
    this.#isLoading = true;
    for (let spec = this.#loads[0]; spec !== undefined && !this.#isClosing; spec = this.#loads[0]) {
      if (!this.#leaving.includes(spec.name)) await this.#loadModel(spec);
      this.#loads.shift();
      this.#vocabularies.delete(spec.name);
      this.#stir();
      // Parts of loading block the thread; a close command must not wait for every model.
      await nextTurn();
    }
    this.#isLoading = false;
  }

  async #loadModel(spec: ModelSpec): Promise<void> {
    const startedAt = this.#clock();
    try {
      const engine = await this.#load(spec, this.#vocabularies.get(spec.name)!.promise);
      this.#engines.set(spec.name, engine);
      const seconds = (this.#clock() - startedAt) / 1000;
      const { runtime, limits } = engine;
      this.#port.postMessage({ type: 'loaded', model: spec.name, seconds, runtime, ...limits });
    } catch (error) {
      // Its vocabulary may be missing only because the service stops.
      if (this.#isClosing) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#port.postMessage({ type: 'load-failed', model: spec.name, message });
    }
  }

  async #closeLeaving(): Promise<void> {
    const isInLoad = (model: string) => this.#loads.some(({ name }) => name === model);
    const leaving = this.#leaving.filter((model) => !isInLoad(model));
    this.#leaving = this.#leaving.filter(isInLoad);
    for (const model of leaving) {
      const engine = this.#engines.get(model);
      this.#engines.delete(model);
      if (engine) await this.#closeEngine(engine);
      this.#port.postMessage({ type: 'unloaded', model });
    }
  }

  #stir(): void {
    this.#isStirred = true;
    this.#wake();
  }

  /** Waits until something has happened since the last sleep. */
  async #sleep(): Promise<void> {
    if (!this.#isStirred && !this.#isClosing) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    this.#isStirred = false;
  }

  async #close(): Promise<void> {
    this.#takeCommands();
    for (const engine of this.#engines.values()) await this.#closeEngine(engine);
    this.#port.postMessage({ type: 'closed' });
  }

  async #closeEngine(engine: ModelEngine): Promise<void> {
    try {
      this.#port.postMessage(await engine.close());
    } catch (error) {
      this.#port.postMessage({ type: 'fault', model: engine.name, detail: errorDetail(error) });
    }
  }
}

/** Lets the event loop deliver messages that have arrived. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
