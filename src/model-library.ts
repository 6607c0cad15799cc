import type { Logger } from 'pino';
import { noDefaults } from './catalog/generation-defaults.ts';
import type { Precision } from './catalog/manifest.ts';
import { findModels, type ModelFolder } from './catalog/model-folders.ts';
import type { ModelState, ServedModel } from './catalog/served-model.ts';
import type { TextWorkers } from './catalog/text-workers.ts';
import { readTexts, type Texts } from './catalog/texts.ts';
import { requireVocabulary } from './catalog/tokenizer-file.ts';
import type { Config } from './config.ts';
import { sharedClock } from './engine/clock.ts';
import type { EngineClient } from './engine/engine-client.ts';
import type { ModelSpec } from './engine/messages.ts';
import { ConfigurationError } from './errors.ts';
import type { Export } from './export/export-checkpoint.ts';
import { ExportThread } from './export/export-thread.ts';
import type { Metrics } from './observability/metrics.ts';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface ModelLibraryParts {
  config: Pick<Config, 'models' | 'precisions' | 'strict' | 'drainTimeoutMs'>;
  logger: Logger;
  metrics: Pick<Metrics, 'modelState' | 'loaded' | 'removed'>;
  texts: TextWorkers;
  /** From then on nothing more is exported or loaded. */
  isDraining: () => boolean;
}

/** A line about a running export at most this often. */
const exportLogIntervalMs = 5000;

/** The models that clients can name: finds them in their folders, exports, loads and removes them. */
export class ModelLibrary {
  readonly #parts: ModelLibraryParts;
  readonly #logger: Logger;
  readonly #models = new Map<string, Writable<ServedModel>>();
  /** Checkpoint folders by id. */
  readonly #folders = new Map<string, string>();
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

  /** Finds the models of the start: from now on clients can name them. @throws ConfigurationError */
  async find(): Promise<void> {
    for (const folder of await findModels(this.#parts.config.models)) this.#add(folder, true);
  }

  /**
   * Exports and loads what was found; each model is served as soon as it is ready. Resolves when every one is ready or failed.
   * @throws ConfigurationError when nothing, or not all of a strict list, can be served
   */
  async serve(engine: Pick<EngineClient, 'loadModel' | 'unloadModel'>): Promise<void> {
    this.#engine = engine;
    const served = this.#serve([...this.#folders.keys()]);
    this.#reloading = served.catch(() => {});
    await served;
    if (this.#parts.isDraining()) return;
    this.#requireModels();
    this.#logger.info({ models: this.#namesOf('ready') }, 'ready');
  }

  /**
   * Looks into the folders again: serves what was added, drains and unloads what was removed, tries again what failed. The
   * rest is served meanwhile, and whatever is wrong with the folders.
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

  /** Gives up an export that is under way. */
  async close(): Promise<void> {
    await this.#exporter.end();
  }

  /** The engine's word on one of the models. */
  changeState(name: string, state: ModelState, loadSeconds: number | null = null): void {
    const model = this.#models.get(name);
    if (!model) return;
    model.state = state;
    if (state.state === 'ready') model.isRequired = true;
    this.#parts.metrics.modelState(name, state.state);
    if (state.state === 'failed') this.#logger.error({ model: name, reason: state.message }, 'model failed');
    if (state.state === 'restarting')
      this.#logger.warn({ model: name, ...state }, 'model is being restarted');
    if (state.state === 'ready')
      this.#logger.info({ model: name, loadSeconds, ...state.runtime }, 'model ready');
    if (loadSeconds !== null) this.#parts.metrics.loaded(model, loadSeconds);
  }

  /** One model for each precision; the default one has the plain name. */
  #add({ id, folder }: ModelFolder, isRequired: boolean): void {
    this.#folders.set(id, folder);
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
    let found: ModelFolder[];
    try {
      found = await findModels(this.#parts.config.models);
    } catch (error) {
      this.#logger.error({ reason: (error as Error).message }, 'models stay as they were');
      return;
    }
    const isThere = (id: string) => found.find((model) => model.id === id)?.folder === this.#folders.get(id);
    const removed = [...this.#folders.keys()].filter((id) => !isThere(id));
    const added = found.filter(({ id, folder }) => this.#folders.get(id) !== folder);
    const retried = this.#namesOf('failed').filter((name) => isThere(this.#models.get(name)!.id));
    this.#logger.info({ added: added.map(({ id }) => id), removed, retried }, 'models read again');

    // Room for what comes is made first.
    await Promise.all(removed.map((id) => this.#remove(id)));
    await Promise.all(retried.map((name) => this.#retry(name)));
    for (const folder of added) this.#add(folder, false);
    await this.#serve([...this.#folders.keys()]);
  }

  /** New requests do not find its models; running ones have as long as at a stop. */
  async #remove(id: string): Promise<void> {
    const names = [...this.#models.values()].filter((model) => model.id === id).map(({ name }) => name);
    for (const name of names) this.#models.delete(name);
    this.#folders.delete(id);
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

  /** Exports and loads those models of the folders that are not served yet. */
  async #serve(ids: readonly string[]): Promise<void> {
    const loads: Promise<void>[] = [];
    for (const id of ids) {
      for (const spec of await this.#prepare(id)) loads.push(this.#engine!.loadModel(spec));
      if (this.#parts.isDraining()) return;
    }
    await this.#exporter.end();
    await Promise.all(loads);
  }

  /** Those of a folder's models that wait to be loaded and can be. */
  async #prepare(id: string): Promise<ModelSpec[]> {
    const folder = this.#folders.get(id)!;
    const specs: ModelSpec[] = [];
    let texts: Texts | null = null;
    for (const model of this.#models.values()) {
      if (model.id !== id || model.state.state !== 'loading' || this.#parts.isDraining()) continue;
      try {
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

  async #export(model: string, checkpoint: string, precision: Precision): Promise<Export> {
    const exported = await this.#exporter.run(checkpoint, precision, this.#exportLog(model));
    if (exported.isNew) this.#logger.info({ model, folder: exported.folder }, 'exported');
    return exported;
  }

  #exportLog(model: string): (progress: { doneBytes: number; totalBytes: number }) => void {
    let lastAt = sharedClock();
    return ({ doneBytes, totalBytes }) => {
      if (sharedClock() - lastAt < exportLogIntervalMs) return;
      lastAt = sharedClock();
      this.#logger.info({ model, percent: Math.round((100 * doneBytes) / totalBytes) }, 'exporting');
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
