import type { Logger } from 'pino';
import { addedModel, type ModelState, type ServedModel } from '../catalog/served-model.ts';
import type { TextWorkers } from '../catalog/texts/text-workers.ts';
import type { Config } from '../config/config.ts';
import type { EngineClient } from '../engine/client/engine-client.ts';
import { sharedClock } from '../engine/protocol/clock.ts';
import type { EngineOptions, ModelToLoad } from '../engine/protocol/messages.ts';
import { ConfigurationError } from '../errors.ts';
import type { ModelAsker, Reloaded } from '../http/server-dependencies.ts';
import type { Metrics } from '../observability/metrics.ts';
import { Checkpoints } from './checkpoints.ts';
import { Drafts } from './drafts.ts';
import { ModelReadings } from './model-readings.ts';
import { changesTo, findSources, type ModelSource } from './model-sources.ts';
import { ResidentModels, type ResidentModelsParts, type UnloadReason } from './resident-models.ts';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface ModelLibraryParts {
  config: ResidentModelsParts['config'] &
    Pick<Config, 'models' | 'precisions' | 'drafts' | 'strict' | 'drainTimeoutMs' | 'requestTimeoutMs'>;
  logger: Logger;
  metrics: ResidentModelsParts['metrics'] &
    Pick<Metrics, 'modelState' | 'loaded' | 'loadFailed' | 'unloaded' | 'removed'>;
  texts: TextWorkers;
  /** Frees the grammars of a model that is unloaded. */
  forgetGrammars(model: string): void;
  /** Once true, nothing more is exported or loaded. */
  isDraining: () => boolean;
}

/** The models that clients can name: finds them in their folders or on the hub, exports them, adds and removes them. */
export class ModelLibrary {
  readonly #parts: ModelLibraryParts;
  readonly #logger: Logger;
  readonly #models = new Map<string, Writable<ServedModel>>();
  /** By id. */
  readonly #sources = new Map<string, ModelSource>();
  readonly #residents: ResidentModels;
  readonly #readings: ModelReadings;
  #engineOptions: EngineOptions | null = null;
  readonly #checkpoints: Checkpoints;
  readonly #drafts: Drafts;
  /** Settles once the models of the last start, reload or retry are exported and those before them removed. */
  #arranged: Promise<unknown> = Promise.resolve();
  /** Starts, reloads and retries that run or wait. */
  #arranging = 0;
  /** A reload that has not begun. */
  #due: Promise<Reloaded | null> | null = null;

  constructor(parts: ModelLibraryParts) {
    this.#parts = parts;
    this.#logger = parts.logger;
    this.#checkpoints = new Checkpoints(parts.logger);
    this.#readings = new ModelReadings(parts.texts);
    this.#residents = new ResidentModels({
      ...parts,
      clock: sharedClock,
      residentBytes: () => (this.#checkpoints.isExporting ? null : process.memoryUsage.rss()),
      changeState: (name, state) => this.#changeState(name, state),
      onUnloaded: (model, reason) => this.#unloaded(model, reason),
    });
    const found = { models: this.#models, sources: this.#sources };
    const [checkpoints, residents] = [this.#checkpoints, this.#residents];
    this.#drafts = new Drafts({ ...parts, ...found, checkpoints, residents });
  }

  /** By name; changes while the service runs. */
  get models(): ReadonlyMap<string, ServedModel> {
    return this.#models;
  }

  /** Finds the models at start. From then on clients can name them. @throws ConfigurationError */
  async find(): Promise<void> {
    for (const source of await findSources(this.#parts.config.models)) this.#add(source, true);
    this.#drafts.requireModels();
  }

  /**
   * Exports and loads the models found; serves each as soon as it is ready. Resolves when every one is
   * ready, failed, or left for later because the limits leave no room.
   * @throws ConfigurationError when no model can be served, or with `strict` when any cannot
   */
  async serve(
    engine: Pick<EngineClient, 'loadModel' | 'unloadModel'>,
    options: EngineOptions,
  ): Promise<void> {
    this.#engineOptions = options;
    this.#residents.serve(engine);
    const { loads } = await this.#arrange(() => this.#serve([...this.#sources.keys()]));
    await Promise.all(loads);
    if (this.#parts.isDraining()) return;
    this.#requireModels();
    this.#logger.info({ models: this.#namesOf('ready') }, 'ready');
  }

  /**
   * Reads the folders again: serves added models, drains and unloads removed ones, retries failed ones. The other
   * models stay served meanwhile, whatever is wrong with the folders.
   * @returns once the folders are read; null at once if they are only read after what is being downloaded, exported or
   *   removed now
   */
  reload(): Promise<Reloaded | null> {
    if (this.#due === null) {
      const read = Promise.withResolvers<Reloaded | null>();
      this.#due = read.promise;
      if (this.#arranging > 0) read.resolve(null);
      const unread = { added: [], removed: [], retried: [], problem: 'the log says why' };
      // After #reload has told its result, this changes nothing.
      void this.#tryToArrange(() => this.#reload(read.resolve)).then(() => read.resolve(unread));
    }
    return this.#due;
  }

  /** Keeps a model in memory while a request uses it. @throws as `ResidentModels.use` */
  use(model: ServedModel, asker: ModelAsker): Promise<() => void> {
    return this.#residents.use(model, asker);
  }

  /** Loads a model; one that failed is prepared again. @throws as `use` */
  async load(model: ServedModel, asker: ModelAsker): Promise<void> {
    const { name, id } = model;
    if (model.state.state === 'failed') {
      await this.#tryToArrange(async () => {
        if (this.#models.get(name) !== model || model.state.state !== 'failed') return;
        await this.#retry(name);
        await this.#serve([id]);
      });
    }
    const leave = await this.#residents.use(model, asker, this.#parts.config.requestTimeoutMs);
    leave();
  }

  /** Unloads a model once nothing uses it. */
  unload({ name }: ServedModel): Promise<void> {
    return this.#residents.unload(name);
  }

  /** Stops a running download or export, and refuses requests that wait for a model. */
  async close(): Promise<void> {
    this.#residents.close();
    await this.#checkpoints.close();
  }

  /** Takes a model's state from the engine. */
  engineReports(name: string, state: ModelState, loadSeconds: number | null): void {
    this.#changeState(name, state, loadSeconds);
    this.#residents.changed(name, loadSeconds);
  }

  /** Sets the state of a model, logs it and updates the metrics. */
  #changeState(name: string, state: ModelState, loadSeconds: number | null = null): void {
    const model = this.#models.get(name);
    if (!model) return;
    model.state = state;
    if (state.state === 'ready') model.isRequired = true;
    if (state.state === 'unloaded') model.isRequired = false;
    this.#parts.metrics.modelState(name, state.state);
    if (state.state === 'failed') {
      this.#parts.metrics.loadFailed(name);
      this.#logger.error({ model: name, reason: state.message }, 'model failed');
    }
    if (state.state === 'restarting')
      this.#logger.warn({ model: name, ...state }, 'model is being restarted');
    if (state.state === 'ready') {
      const rounded = loadSeconds === null ? null : Number(loadSeconds.toFixed(3));
      this.#logger.info({ model: name, loadSeconds: rounded, ...state.runtime }, 'model ready');
    }
    if (loadSeconds !== null) this.#parts.metrics.loaded(model, loadSeconds);
  }

  #unloaded({ name }: ServedModel, reason: UnloadReason): void {
    this.#parts.forgetGrammars(name);
    this.#parts.metrics.unloaded(name, reason);
    this.#logger.info({ model: name, reason }, 'model unloaded');
  }

  /** Adds one model for each precision; the default one has the plain name. */
  #add(source: ModelSource, isRequired: boolean): void {
    const { id } = source;
    this.#sources.set(id, source);
    this.#parts.config.precisions.forEach((precision, index) => {
      const name = index === 0 ? id : `${id}:${precision}`;
      this.#models.set(name, { ...addedModel(name, id, precision), isRequired });
      this.#changeState(name, { state: 'loading' });
    });
  }

  /** Exports, adds and removes models one after the other. Their loads do not hold up what comes next. */
  #arrange<T>(work: () => Promise<T>): Promise<T> {
    this.#arranging += 1;
    const done = this.#arranged.then(work).finally(() => {
      this.#arranging -= 1;
    });
    this.#arranged = done.catch(() => {});
    return done;
  }

  async #tryToArrange(work: () => Promise<void>): Promise<void> {
    try {
      await this.#arrange(work);
    } catch (err) {
      this.#logger.error({ err }, 'models could not be read again');
    }
  }

  async #reload(onRead: (result: Reloaded) => void): Promise<void> {
    this.#due = null;
    const unchanged = (problem: string) => onRead({ added: [], removed: [], retried: [], problem });
    if (this.#parts.isDraining()) return unchanged('the service is about to stop');
    let found: ModelSource[];
    try {
      found = this.#keepUnreadable(await findSources(this.#parts.config.models));
    } catch (error) {
      const { message } = error as Error;
      this.#logger.error({ reason: message }, 'models stay as they were');
      unchanged(message);
      return;
    }
    const { added, removed } = changesTo(this.#sources, found);
    const retried = this.#namesOf('failed').filter((name) => !removed.includes(this.#models.get(name)!.id));
    const result = { added: added.map(({ id }) => id), removed, retried };
    this.#logger.info(result, 'models read again');
    onRead({ ...result, problem: null });

    // Free memory first, for the added models.
    await Promise.all(removed.map((id) => this.#remove(id)));
    await Promise.all(retried.map((name) => this.#retry(name)));
    for (const source of added) this.#add(source, false);
    await this.#serve([...this.#sources.keys()]);
  }

  /** Keeps the models of a path that cannot be read at the moment, such as one that is not mounted. */
  #keepUnreadable(found: readonly ModelSource[]): ModelSource[] {
    const readable = new Set(found.filter(({ place }) => !('reason' in place)).map(({ id }) => id));
    return found.flatMap((source) => {
      if (!('reason' in source.place)) return [source];
      const before = [...this.#sources.values()].filter(({ path }) => path === source.path);
      if (before.length === 0) return [source];
      this.#logger.error({ reason: source.place.reason }, 'models stay as they were');
      // One that another path has now comes from there.
      return before.filter(({ id }) => !readable.has(id));
    });
  }

  /** Hides its models from new requests; running requests get the drain timeout, as at a stop. */
  async #remove(id: string): Promise<void> {
    const models = [...this.#models.values()].filter((model) => model.id === id);
    for (const { name } of models) this.#models.delete(name);
    this.#sources.delete(id);
    const { drainTimeoutMs } = this.#parts.config;
    await Promise.all(models.map(({ name }) => this.#residents.remove(name, drainTimeoutMs)));
    for (const model of models) {
      this.#forget(model);
      this.#parts.metrics.removed(model.name);
      this.#logger.info({ model: model.name }, 'model removed');
    }
  }

  async #retry(name: string): Promise<void> {
    const model = this.#models.get(name)!;
    await this.#residents.remove(name, 0);
    this.#forget(model);
    model.isRequired = false;
    this.#changeState(name, { state: 'loading' });
  }

  /** Frees what helper processes and the compiler of grammars hold for a model that the engine has let go. */
  #forget(model: ServedModel): void {
    this.#parts.forgetGrammars(model.name);
    this.#readings.forget(model);
  }

  /**
   * Downloads and exports the models that are not served yet, and has them loaded.
   * @returns settle when each is ready or has failed, or need not be loaded
   */
  async #serve(ids: readonly string[]): Promise<{ loads: Promise<void>[] }> {
    const loads: Promise<void>[] = [];
    const isOnHub = (id: string) => 'hub' in this.#sources.get(id)!.place;
    // Local models do not wait for downloads.
    for (const id of ids.toSorted((a, b) => Number(isOnHub(a)) - Number(isOnHub(b)))) {
      for (const wanted of await this.#prepare(id)) {
        const model = this.#models.get(wanted.spec.name);
        if (model) loads.push(this.#residents.add(model, wanted), this.#checkTexts(model, wanted));
      }
      if (this.#parts.isDraining()) return { loads };
    }
    await this.#checkpoints.rest();
    return { loads };
  }

  /** A model whose tokenizer cannot be read fails, even if nobody asks the engine to load it. */
  async #checkTexts(model: ServedModel, { vocabulary }: ModelToLoad): Promise<void> {
    try {
      await vocabulary;
    } catch (error) {
      if (this.#residents.isInEngine(model.name) || this.#parts.isDraining()) return;
      await this.#residents.remove(model.name, 0);
      if (this.#models.get(model.name) === model) this.#failed(model, error);
    }
  }

  /**
   * Exports a checkpoint's models that are not exported yet. Their tokenizer is read meanwhile, and while the engine
   * loads them. @returns those that can be loaded
   */
  async #prepare(id: string): Promise<ModelToLoad[]> {
    const waiting = [...this.#models.values()].filter(
      (model) => model.id === id && model.state.state === 'loading' && !this.#residents.has(model.name),
    );
    if (waiting.length === 0 || this.#parts.isDraining()) return [];
    const located = this.#checkpoints.locate(this.#sources.get(id)!);
    located.then((folder) => this.#readings.start(folder, waiting)).catch(() => {});
    const wanted: ModelToLoad[] = [];
    for (const model of waiting) {
      if (this.#parts.isDraining()) break;
      try {
        const folder = await located;
        const exported = await this.#checkpoints.export(model.name, folder, model.precision);
        const vocabulary = this.#readings.finish(model, folder, exported.manifest.vocabSize);
        const described = { name: model.name, vocabulary, ...exported };
        const { memory, spec } = await this.#drafts.planWith(described, this.#engineOptions!);
        Object.assign(model, { manifest: exported.manifest, memory });
        wanted.push({ spec, vocabulary });
      } catch (error) {
        if (this.#parts.isDraining()) break;
        this.#forget(model);
        this.#failed(model, error);
      }
    }
    return wanted;
  }

  #failed({ name }: ServedModel, error: unknown): void {
    this.#changeState(name, { state: 'failed', message: (error as Error).message });
  }

  #namesOf(state: ModelState['state']): string[] {
    return [...this.#models.values()].filter((model) => model.state.state === state).map(({ name }) => name);
  }

  #requireModels(): void {
    // Not those that a reload has added since.
    const failed = this.#namesOf('failed').filter((name) => this.#models.get(name)!.isRequired);
    const { strict } = this.#parts.config;
    if (failed.length === 0 || (!strict && failed.length < this.#models.size)) return;
    const reasons = failed.map((name) => {
      const { state } = this.#models.get(name)!;
      return `  ${name}: ${state.state === 'failed' ? state.message : ''}`;
    });
    const why = strict ? 'not every model can be served (ALTUP_STRICT)' : 'no model can be served';
    throw new ConfigurationError(`${why}:\n${reasons.join('\n')}`);
  }
}
