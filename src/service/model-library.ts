import { readdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import { noDefaults } from '../catalog/generation-defaults.ts';
import type { Precision } from '../catalog/manifest.ts';
import { missingFiles } from '../catalog/missing-files.ts';
import type { ModelState, ServedModel } from '../catalog/served-model.ts';
import { type ModelTexts, readTexts, type TextWorkers } from '../catalog/texts/text-workers.ts';
import { requireVocabulary } from '../catalog/tokenizer/tokenizer-file.ts';
import type { Config } from '../config/config.ts';
import type { EngineClient } from '../engine/client/engine-client.ts';
import { sharedClock } from '../engine/protocol/clock.ts';
import type { ModelSpec } from '../engine/protocol/messages.ts';
import { ConfigurationError } from '../errors.ts';
import type { Export } from '../export/export-checkpoint.ts';
import { ExportThread } from '../export/export-thread.ts';
import { timeLeft } from '../export/time-left.ts';
import { downloadModel } from '../hub/download-model.ts';
import type { Metrics } from '../observability/metrics.ts';
import { findSources, isSamePlace, type ModelSource } from './model-sources.ts';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface ModelLibraryParts {
  config: Pick<Config, 'models' | 'precisions' | 'strict' | 'drainTimeoutMs'>;
  logger: Logger;
  metrics: Pick<Metrics, 'modelState' | 'loaded' | 'removed'>;
  texts: TextWorkers;
  /** Once true, nothing more is exported or loaded. */
  isDraining: () => boolean;
}

/** Minimum time between log lines about a running download or export. */
const progressIntervalMs = 5000;

/** The models that clients can name: finds them in their folders or on the hub, exports, loads and removes them. */
export class ModelLibrary {
  readonly #parts: ModelLibraryParts;
  readonly #logger: Logger;
  readonly #models = new Map<string, Writable<ServedModel>>();
  /** By id. */
  readonly #sources = new Map<string, ModelSource>();
  /** Aborts a running download. */
  readonly #stop = new AbortController();
  #engine: Pick<EngineClient, 'loadModel' | 'unloadModel'> | null = null;
  readonly #exporter = new ExportThread();
  #reloading: Promise<void> = Promise.resolve();
  #isReloadDue = false;

  constructor(parts: ModelLibraryParts) {
    this.#parts = parts;
    this.#logger = parts.logger;
  }

  /** By name; changes while the service runs. */
  get models(): ReadonlyMap<string, ServedModel> {
    return this.#models;
  }

  /** Finds the models at start. From then on clients can name them. @throws ConfigurationError */
  async find(): Promise<void> {
    for (const source of await findSources(this.#parts.config.models)) this.#add(source, true);
  }

  /**
   * Exports and loads the models found; serves each as soon as it is ready. Resolves when every one is ready or failed.
   * @throws ConfigurationError when no model can be served, or with `strict` when any cannot
   */
  async serve(engine: Pick<EngineClient, 'loadModel' | 'unloadModel'>): Promise<void> {
    this.#engine = engine;
    const served = this.#serve([...this.#sources.keys()]);
    this.#reloading = served.catch(() => {});
    await served;
    if (this.#parts.isDraining()) return;
    this.#requireModels();
    this.#logger.info({ models: this.#namesOf('ready') }, 'ready');
  }

  /**
   * Reads the folders again: serves added models, drains and unloads removed ones, retries failed ones. The other
   * models stay served meanwhile, whatever is wrong with the folders.
   */
  reload(): Promise<void> {
    if (!this.#isReloadDue) {
      this.#isReloadDue = true;
      this.#reloading = this.#reloading
        .then(() => this.#reload())
        .catch((err) => this.#logger.error({ err }, 'models could not be read again'));
    }
    return this.#reloading;
  }

  /** Stops a running download or export. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#exporter.end();
  }

  /** Sets the state of a model, logs it and updates the metrics. */
  changeState(name: string, state: ModelState, loadSeconds: number | null = null): void {
    const model = this.#models.get(name);
    if (!model) return;
    model.state = state;
    if (state.state === 'ready') model.isRequired = true;
    this.#parts.metrics.modelState(name, state.state);
    if (state.state === 'failed') this.#logger.error({ model: name, reason: state.message }, 'model failed');
    if (state.state === 'restarting')
      this.#logger.warn({ model: name, ...state }, 'model is being restarted');
    if (state.state === 'ready') {
      const rounded = loadSeconds === null ? null : Number(loadSeconds.toFixed(3));
      this.#logger.info({ model: name, loadSeconds: rounded, ...state.runtime }, 'model ready');
    }
    if (loadSeconds !== null) this.#parts.metrics.loaded(model, loadSeconds);
  }

  /** Adds one model for each precision; the default one has the plain name. */
  #add(source: ModelSource, isRequired: boolean): void {
    const { id } = source;
    this.#sources.set(id, source);
    const created = Math.floor(Date.now() / 1000);
    this.#parts.config.precisions.forEach((precision, index) => {
      const name = index === 0 ? id : `${id}:${precision}`;
      this.#models.set(name, {
        name,
        id,
        precision,
        manifest: null,
        vocabulary: null,
        texts: null,
        defaults: noDefaults,
        created,
        isRequired,
        state: { state: 'loading' },
      });
      this.changeState(name, { state: 'loading' });
    });
  }

  async #reload(): Promise<void> {
    this.#isReloadDue = false;
    if (this.#parts.isDraining()) return;
    let found: ModelSource[];
    try {
      found = this.#keepUnreadable(await findSources(this.#parts.config.models));
    } catch (error) {
      this.#logger.error({ reason: (error as Error).message }, 'models stay as they were');
      return;
    }
    const isKnown = ({ id, place }: ModelSource) => {
      const known = this.#sources.get(id);
      return known !== undefined && isSamePlace(known.place, place);
    };
    const isThere = (id: string) => found.some((source) => source.id === id && isKnown(source));
    const removed = [...this.#sources.keys()].filter((id) => !isThere(id));
    const added = found.filter((source) => !isKnown(source));
    const retried = this.#namesOf('failed').filter((name) => isThere(this.#models.get(name)!.id));
    this.#logger.info({ added: added.map(({ id }) => id), removed, retried }, 'models read again');

    // Free memory first, for the added models.
    await Promise.all(removed.map((id) => this.#remove(id)));
    await Promise.all(retried.map((name) => this.#retry(name)));
    for (const source of added) this.#add(source, false);
    await this.#serve([...this.#sources.keys()]);
  }

  /** Keeps the models of a path that cannot be read at the moment, such as one that is not mounted. */
  #keepUnreadable(found: readonly ModelSource[]): ModelSource[] {
    return found.flatMap((source) => {
      if (!('reason' in source.place)) return [source];
      const before = [...this.#sources.values()].filter(({ path }) => path === source.path);
      if (before.length === 0) return [source];
      this.#logger.error({ reason: source.place.reason }, 'models stay as they were');
      return before;
    });
  }

  /** Hides its models from new requests; running requests get the drain timeout, as at a stop. */
  async #remove(id: string): Promise<void> {
    const names = [...this.#models.values()].filter((model) => model.id === id).map(({ name }) => name);
    for (const name of names) this.#models.delete(name);
    this.#sources.delete(id);
    await Promise.all(
      names.map((name) => this.#engine!.unloadModel(name, this.#parts.config.drainTimeoutMs)),
    );
    for (const name of names) {
      this.#parts.metrics.removed(name);
      this.#logger.info({ model: name }, 'model removed');
    }
  }

  async #retry(name: string): Promise<void> {
    await this.#engine!.unloadModel(name, 0);
    this.#models.get(name)!.isRequired = false;
    this.changeState(name, { state: 'loading' });
  }

  /** Downloads, exports and loads the models that are not served yet. */
  async #serve(ids: readonly string[]): Promise<void> {
    const loads: Promise<void>[] = [];
    const isOnHub = (id: string) => 'hub' in this.#sources.get(id)!.place;
    // Local models do not wait for downloads.
    for (const id of ids.toSorted((a, b) => Number(isOnHub(a)) - Number(isOnHub(b)))) {
      for (const spec of await this.#prepare(id)) loads.push(this.#engine!.loadModel(spec));
      if (this.#parts.isDraining()) return;
    }
    await this.#exporter.end();
    await Promise.all(loads);
  }

  /** Exports a checkpoint's models that wait to be loaded. @returns those that can be */
  async #prepare(id: string): Promise<ModelSpec[]> {
    const waiting = [...this.#models.values()].filter(
      (model) => model.id === id && model.state.state === 'loading',
    );
    if (waiting.length === 0 || this.#parts.isDraining()) return [];
    const located = this.#locate(this.#sources.get(id)!);
    const specs: ModelSpec[] = [];
    let texts: ModelTexts | null = null;
    for (const model of waiting) {
      if (this.#parts.isDraining()) break;
      try {
        const folder = await located;
        const exported = await this.#export(model.name, folder, model.precision);
        texts ??= await readTexts(folder, this.#parts.texts);
        requireVocabulary(folder, texts.vocabulary.data.ownTokens, exported.manifest.vocabSize);
        Object.assign(model, { manifest: exported.manifest, ...texts });
        specs.push({ name: model.name, vocabulary: texts.vocabulary.data, folder: exported.folder });
      } catch (error) {
        if (this.#parts.isDraining()) break;
        this.changeState(model.name, { state: 'failed', message: (error as Error).message });
      }
    }
    return specs;
  }

  /** Returns the checkpoint's folder, downloaded if necessary. @throws ConfigurationError when there is none */
  async #locate({ id, place }: ModelSource): Promise<string> {
    if ('folder' in place) {
      const problem = missingFiles(await readdir(place.folder));
      if (problem !== null) throw new ConfigurationError(`${place.folder}: ${problem}`);
      return place.folder;
    }
    if ('reason' in place) throw new ConfigurationError(place.reason);
    const { signal } = this.#stop;
    const onProgress = this.#progressLog(id, 'downloading');
    const folder = await downloadModel(place.hub, { onProgress, signal });
    this.#logger.info({ model: id, folder }, 'downloaded');
    return folder;
  }

  async #export(model: string, checkpoint: string, precision: Precision): Promise<Export> {
    const exported = await this.#exporter.run(checkpoint, precision, this.#progressLog(model, 'exporting'));
    if (exported.isNew) this.#logger.info({ model, folder: exported.folder }, 'exported');
    return exported;
  }

  #progressLog(
    model: string,
    doing: 'downloading' | 'exporting',
  ): (progress: { doneBytes: number; totalBytes: number }) => void {
    const startedAt = sharedClock();
    let lastAt = startedAt;
    return ({ doneBytes, totalBytes }) => {
      const now = sharedClock();
      if (now - lastAt < progressIntervalMs) return;
      lastAt = now;
      const done = doneBytes / totalBytes;
      this.#logger.info(
        { model, percent: Math.round(100 * done), left: timeLeft(done, now - startedAt) },
        doing,
      );
    };
  }

  #namesOf(state: ModelState['state']): string[] {
    return [...this.#models.values()].filter((model) => model.state.state === state).map(({ name }) => name);
  }

  #requireModels(): void {
    const failed = this.#namesOf('failed');
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
