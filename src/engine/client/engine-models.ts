import { type ModelState, notReady } from '../../catalog/served-model.ts';
import type { EngineReport, ModelToLoad } from '../protocol/messages.ts';

type Loaded = Extract<EngineReport, { type: 'loaded' }>;

/** @param loadSeconds null unless the model has just loaded */
export type OnModelState = (model: string, state: ModelState, loadSeconds: number | null) => void;

/** A model that has never loaded is given up after this many deaths of the worker during its load. */
const maxDeathsInLoad = 2;

interface EngineModel extends Readonly<ModelToLoad> {
  state: ModelState;
  /** How long the last load took; null: never loaded. */
  loadSeconds: number | null;
  deathsInLoad: number;
  /** Settles once the first load has succeeded or failed. */
  readonly tried: PromiseWithResolvers<void>;
  /** Settles once the model is removed; null while it is wanted. */
  left: PromiseWithResolvers<void> | null;
}

/** The models that an engine should hold, and the state of each as clients see it. */
export class EngineModels {
  readonly #models = new Map<string, EngineModel>();
  readonly #onChange: OnModelState;
  /** Loads sent to the worker and not answered yet, in that order. */
  readonly #loading = new Set<string>();

  constructor(onChange: OnModelState) {
    this.#onChange = onChange;
  }

  get names(): string[] {
    return [...this.#models.keys()];
  }

  /** Models that a new worker must load. */
  get wanted(): ModelToLoad[] {
    return [...this.#models.values()].filter(
      ({ left, deathsInLoad }) => left === null && deathsInLoad < maxDeathsInLoad,
    );
  }

  get isServing(): boolean {
    return [...this.#models.values()].some(({ state }) => state.state === 'ready');
  }

  /** Whether every load sent to the worker has succeeded or failed. */
  get areTried(): boolean {
    return this.#loading.size === 0;
  }

  /** @returns settles once its first load has succeeded or failed */
  add({ spec, vocabulary }: ModelToLoad): Promise<void> {
    if (this.#models.has(spec.name)) throw new Error(`the engine already has a model ${spec.name}`);
    const tried = Promise.withResolvers<void>();
    const state: ModelState = { state: 'loading' };
    const never = { loadSeconds: null, deathsInLoad: 0 };
    this.#models.set(spec.name, { spec, vocabulary, state, ...never, tried, left: null });
    return tried.promise;
  }

  /** Whether the model of this name is this one, and not another that was added since. */
  has({ spec }: ModelToLoad): boolean {
    return this.#models.get(spec.name)?.spec === spec;
  }

  /** Records that the worker was asked to load it. */
  loading(model: string): void {
    this.#loading.add(model);
  }

  loaded({ type, model, seconds, ...ready }: Loaded): void {
    this.#loading.delete(model);
    const found = this.#models.get(model)!;
    found.loadSeconds = seconds;
    this.#change(found, { state: 'ready', ...ready }, seconds);
    found.tried.resolve();
  }

  failed(model: string, message: string): void {
    this.#loading.delete(model);
    const found = this.#models.get(model)!;
    this.#change(found, { state: 'failed', message });
    found.tried.resolve();
  }

  /** Stops new requests for it. @returns settles once the worker has closed it */
  leave(model: string): Promise<void> {
    const found = this.#models.get(model);
    if (!found) return Promise.resolve();
    found.left ??= Promise.withResolvers<void>();
    return found.left.promise;
  }

  isLeaving(model: string): boolean {
    return (this.#models.get(model)?.left ?? null) !== null;
  }

  /** Ignores a model that stays: one of the same name has left before, and this has come since. */
  left(model: string): void {
    const found = this.#models.get(model);
    if (!found?.left) return;
    this.#loading.delete(model);
    this.#models.delete(model);
    found.tried.resolve();
    found.left.resolve();
  }

  /**
   * Records that the worker is gone, and with it the models that were leaving.
   * @param restartInMs time until the next worker starts; null: none will
   */
  ended(restartInMs: number | null): void {
    const [inLoad] = this.#loading;
    this.#loading.clear();
    for (const model of [...this.#models.values()]) {
      if (model.left !== null) this.left(model.spec.name);
      else if (restartInMs === null) this.failed(model.spec.name, 'The engine has stopped.');
      else if (model.loadSeconds !== null) this.#restarting(model, restartInMs);
      else if (model.spec.name === inLoad) this.#diedInLoad(model);
    }
  }

  /** Settles every wait for a load or a close, because none will happen any more. */
  abandon(): void {
    for (const { tried, left } of this.#models.values()) {
      tried.resolve();
      left?.resolve();
    }
  }

  /** Whether the worker has it, even if it is about to leave. */
  isReady(name: string): boolean {
    return this.#models.get(name)?.state.state === 'ready';
  }

  /** @throws ServiceError not_ready */
  requireReady(name: string): void {
    const model = this.#models.get(name);
    const state = model?.state;
    if (state?.state === 'ready' && model?.left === null) return;
    throw notReady(name, model?.left === null ? (state ?? null) : null);
  }

  #restarting(model: EngineModel, restartInMs: number): void {
    const loads = [...this.#models.values()].reduce((sum, { loadSeconds }) => sum + (loadSeconds ?? 0), 0);
    const seconds = Math.max(1, Math.ceil(restartInMs / 1000 + loads));
    this.#change(model, { state: 'restarting', retryAfterSeconds: seconds });
  }

  #diedInLoad(model: EngineModel): void {
    model.deathsInLoad += 1;
    if (model.deathsInLoad < maxDeathsInLoad) return;
    this.failed(model.spec.name, `The engine died ${maxDeathsInLoad} times while it loaded the model.`);
  }

  #change(model: EngineModel, state: ModelState, loadSeconds: number | null = null): void {
    model.state = state;
    this.#onChange(model.spec.name, state, loadSeconds);
  }
}
