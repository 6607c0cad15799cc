import type { ModelState } from '../catalog/served-model.ts';
import { ServiceError } from '../errors.ts';
import type { EngineReport } from './messages.ts';

type Loaded = Extract<EngineReport, { type: 'loaded' }>;

/** @param loadSeconds null when the change is no load */
export type OnModelState = (model: string, state: ModelState, loadSeconds: number | null) => void;

const retryAfterSeconds = { loading: 5, failed: 60 };

/** Where each model of an engine stands, as clients are told. */
export class ModelStates {
  readonly #states = new Map<string, ModelState>();
  readonly #onChange: OnModelState;
  /** How long each took to load the last time. */
  readonly #loadSeconds = new Map<string, number>();

  constructor(models: readonly string[], onChange: OnModelState) {
    this.#onChange = onChange;
    for (const model of models) this.#states.set(model, { state: 'loading' });
  }

  get models(): string[] {
    return [...this.#states.keys()];
  }

  get isServing(): boolean {
    return [...this.#states.values()].some(({ state }) => state === 'ready');
  }

  loaded({ type, model, seconds, ...ready }: Loaded): void {
    this.#loadSeconds.set(model, seconds);
    this.#change(model, { state: 'ready', ...ready }, seconds);
  }

  failed(model: string, message: string): void {
    this.#change(model, { state: 'failed', message });
  }

  /**
   * The worker is gone.
   * @param restartInMs until another is started; null: none will be
   */
  ended(restartInMs: number | null): void {
    for (const model of this.#states.keys()) {
      this.#change(
        model,
        restartInMs === null
          ? { state: 'failed', message: 'The engine has stopped.' }
          : { state: 'restarting', retryAfterSeconds: this.#secondsUntilLoaded(restartInMs) },
      );
    }
  }

  /** @throws ServiceError not_ready */
  requireReady(model: string): void {
    const state = this.#states.get(model);
    if (state?.state === 'ready') return;
    if (state?.state === 'restarting') {
      throw new ServiceError('not_ready', `The engine of the model '${model}' is being restarted.`, state);
    }
    const isLoading = state?.state === 'loading';
    throw new ServiceError(
      'not_ready',
      `The model '${model}' is ${isLoading ? 'loading' : 'not available'}.`,
      {
        retryAfterSeconds: retryAfterSeconds[isLoading ? 'loading' : 'failed'],
      },
    );
  }

  #secondsUntilLoaded(restartInMs: number): number {
    const loads = [...this.#loadSeconds.values()].reduce((sum, seconds) => sum + seconds, 0);
    return Math.max(1, Math.ceil(restartInMs / 1000 + loads));
  }

  #change(model: string, state: ModelState, loadSeconds: number | null = null): void {
    this.#states.set(model, state);
    this.#onChange(model, state, loadSeconds);
  }
}
