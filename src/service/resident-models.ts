import { memoryOf, notReady, type ServedModel, usualLoadSeconds } from '../catalog/served-model.ts';
import type { Config } from '../config/config.ts';
import type { AdmissionLimits } from '../engine/client/admission.ts';
import type { EngineClient } from '../engine/client/engine-client.ts';
import { within } from '../engine/client/supervised-worker.ts';
import type { Clock } from '../engine/protocol/clock.ts';
import type { ModelToLoad } from '../engine/protocol/messages.ts';
import { ServiceError } from '../errors.ts';
import type { ModelAsker } from '../http/server-dependencies.ts';
import type { Metrics } from '../observability/metrics.ts';
import { LoadWaits } from './load-waits.ts';
import {
  decide,
  fitTogether,
  hasRoom,
  isInMemory,
  type ResidencyLimits,
  type Resident,
} from './residency.ts';

/** Memory that the process takes beside its models once the engine has loaded ONNX Runtime and requests come. */
const workingBytes = 128 * 2 ** 20;
/** How long the engine may take to let go of requests that were aborted. */
const letGoMs = 60_000;

/** Why a model is unloaded: for another one, or because an administrator asked for it. */
export type UnloadReason = 'room' | 'asked';

type EngineModels = Pick<EngineClient, 'loadModel' | 'unloadModel'>;

export interface ResidentModelsParts {
  config: AdmissionLimits & Pick<Config, 'memoryLimit' | 'maxLoadedModels' | 'loadsOnDemand' | 'loadWaitMs'>;
  metrics: Pick<Metrics, 'loadWaiting' | 'rejected'>;
  clock: Clock;
  /** Bytes of memory that the process takes; null while an export takes some for a time. */
  residentBytes: () => number | null;
  changeState(name: string, state: { state: 'loading' | 'unloading' | 'unloaded' }): void;
  onUnloaded(model: ServedModel, reason: UnloadReason): void;
}

interface Entry {
  readonly model: ServedModel;
  readonly wanted: ModelToLoad;
  uses: number;
  usedAt: number;
  wantedAt: number | null;
  /** How long its last load took. */
  loadSeconds: number;
  /** The engine knows it, loaded or failed. */
  isInEngine: boolean;
  /** Settles once its last load has succeeded or failed. */
  loaded: Promise<void>;
  /** Settles once it is unloaded; null: it stays. */
  leaving: Promise<void> | null;
  /** Settles when its last use ends; null: nobody waits for that. */
  idle: PromiseWithResolvers<void> | null;
  /** Settles once its first load has succeeded or failed, or once it is clear that it need not be loaded. */
  readonly settled: PromiseWithResolvers<void>;
}

/**
 * The models that are ready to be loaded, in memory or not. Loads those that are asked for and unloads others for them
 * (residency.ts decides which), but none that a request uses.
 */
export class ResidentModels {
  readonly #parts: ResidentModelsParts;
  readonly #entries = new Map<string, Entry>();
  /** Removed, but still in the engine's memory. */
  readonly #going = new Set<Entry>();
  readonly #waits: LoadWaits;
  #engine: EngineModels | null = null;
  /** Memory of the process without models, at least. */
  #leastOwnBytes = 0;
  /** The same, as last measured. */
  #ownBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: ResidentModelsParts) {
    this.#parts = parts;
    this.#waits = new LoadWaits(parts.config, parts.metrics);
  }

  /** Bytes for all loaded models together; infinite: no limit. */
  get bytesForModels(): number {
    const { memoryLimit } = this.#parts.config;
    return memoryLimit === null ? Number.POSITIVE_INFINITY : memoryLimit - this.#leastOwnBytes;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Starts to load models. The engine holds none yet. */
  serve(engine: EngineModels): void {
    this.#engine = engine;
    this.#leastOwnBytes = (this.#parts.residentBytes() ?? 0) + workingBytes;
    this.#ownBytes = this.#leastOwnBytes;
  }

  /** Adds a model, and loads it if there is room. Settles when it is ready or has failed, or need not be loaded. */
  add(model: ServedModel, wanted: ModelToLoad): Promise<void> {
    const now = this.#parts.clock();
    const entry: Entry = {
      model,
      wanted,
      uses: 0,
      usedAt: now,
      wantedAt: null,
      loadSeconds: usualLoadSeconds,
      isInEngine: false,
      loaded: Promise.resolve(),
      leaving: null,
      idle: null,
      settled: Promise.withResolvers(),
    };
    this.#entries.set(model.name, entry);
    if (!this.#isClosed && hasRoom(this.#residents, residentOf(entry), this.#limits)) {
      entry.wantedAt = now;
    } else {
      const rest = () => this.#rest(entry);
      wanted.vocabulary.then(rest, () => entry.settled.resolve());
    }
    this.#decide();
    return entry.settled.promise;
  }

  /** From now on a request may ask for a model that is not loaded yet: its texts are read. */
  #rest({ model, isInEngine, settled }: Entry): void {
    const isThere = this.#entries.get(model.name)?.model === model;
    if (isThere && !isInEngine && model.state.state === 'loading')
      this.#parts.changeState(model.name, { state: 'unloaded' });
    settled.resolve();
  }

  isInEngine(name: string): boolean {
    return this.#entries.get(name)?.isInEngine ?? false;
  }

  /** Removes a model; its requests, also those that the engine does not have yet, get `withinMs` to end. */
  async remove(name: string, withinMs: number): Promise<void> {
    const entry = this.#entries.get(name);
    if (!entry) return;
    const until = this.#parts.clock() + withinMs;
    this.#entries.delete(name);
    if (entry.isInEngine) this.#going.add(entry);
    this.#waits.refuse(name, notReady(name, null));
    entry.settled.resolve();
    if (entry.uses > 0) await within(withinMs, idle(entry));
    await this.#engine!.unloadModel(name, Math.max(0, until - this.#parts.clock()));
    this.#going.delete(entry);
    entry.idle?.resolve();
    this.#decide();
  }

  /**
   * Waits until a model takes requests, and keeps it in memory until the returned function is called.
   * @param waitMs maximum wait for its load, which goes on after that
   * @throws ServiceError `not_ready`, `queue_full`, `shutting_down`; the reason of the asker's signal
   */
  async use(model: ServedModel, asker: ModelAsker, waitMs = this.#waitMs): Promise<() => void> {
    const entry = this.#entries.get(model.name);
    const { state } = model.state;
    if (entry?.model !== model || state === 'failed' || state === 'restarting')
      throw notReady(model.name, model.state);
    entry.usedAt = this.#parts.clock();
    if (state === 'ready') return this.#take(entry);
    asker.signal.throwIfAborted();
    if (this.#isClosed) throw shuttingDown();
    if (waitMs > 0) this.#waits.requirePlace(model.name, asker.client, entry.loadSeconds);
    entry.wantedAt ??= entry.usedAt;
    this.#decide();
    if (waitMs === 0) throw this.#notYet(entry);
    return this.#waits.wait(model.name, asker, waitMs, () => this.#notYet(entry));
  }

  /** Unloads a model once nothing uses it. It is loaded again when somebody asks for it. */
  async unload(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    await entry?.loaded;
    // It may have been removed, and another of its name added, meanwhile.
    const isThere = entry !== undefined && this.#entries.get(name) === entry;
    if (isThere && isInMemory(residentOf(entry))) await this.#unload(entry, 'asked');
  }

  /** Takes note of a new state that the engine reports. */
  changed(name: string, loadSeconds: number | null): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    const { state } = entry.model.state;
    if (state !== 'ready' && state !== 'failed') return;
    if (entry.leaving !== null) {
      // The engine died and has loaded it again.
      this.#parts.changeState(name, { state: 'unloading' });
      return;
    }
    this.#measure();
    entry.wantedAt = null;
    entry.usedAt = this.#parts.clock();
    entry.loadSeconds = loadSeconds ?? entry.loadSeconds;
    entry.settled.resolve();
    if (state === 'ready') this.#waits.admit(name, () => this.#take(entry));
    else this.#waits.refuse(name, notReady(name, entry.model.state));
    // Those that were admitted begin first: otherwise a model that others want would leave before it served anyone.
    setImmediate(() => this.#decide());
  }

  /** Loads nothing more, and refuses the requests that wait for a model. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#waits.refuse(null, shuttingDown());
    for (const { settled } of this.#entries.values()) settled.resolve();
  }

  get #waitMs(): number {
    const { loadsOnDemand, loadWaitMs } = this.#parts.config;
    return loadsOnDemand ? loadWaitMs : 0;
  }

  get #residents(): Resident[] {
    const going = [...this.#going].map((entry) => ({ ...residentOf(entry), state: 'unloading' as const }));
    return [...[...this.#entries.values()].map(residentOf), ...going];
  }

  get #limits(): ResidencyLimits {
    const { memoryLimit, maxLoadedModels } = this.#parts.config;
    return {
      bytes: memoryLimit === null ? Number.POSITIVE_INFINITY : memoryLimit - this.#ownBytes,
      models: maxLoadedModels ?? Number.POSITIVE_INFINITY,
    };
  }

  /**
   * What the process takes beyond its models' plans is not available to them. Measured after each load and unload,
   * when the allocator has just given back free memory.
   */
  #measure(): void {
    const bytes = this.#parts.residentBytes();
    if (bytes === null) return;
    const planned = this.#residents.filter(isInMemory).reduce((sum, resident) => sum + resident.bytes, 0);
    this.#ownBytes = Math.max(this.#leastOwnBytes, bytes - planned);
  }

  #decide(): void {
    clearTimeout(this.#timer);
    if (this.#engine === null || this.#isClosed) return;
    const now = this.#parts.clock();
    const { load, unload, at } = decide(this.#residents, this.#limits, now);
    for (const name of unload) void this.#unload(this.#entries.get(name)!, 'room');
    if (load !== null) {
      const entry = this.#entries.get(load)!;
      this.#giveUpFailed(entry);
      entry.loaded = this.#load(entry);
    }
    if (at !== null) this.#timer = setTimeout(() => this.#decide(), Math.max(1, at - now)).unref();
  }

  /** A restarted engine loads failed models again, so those whose room `next` takes must leave it. */
  #giveUpFailed(next: Entry): void {
    const loaded = [...this.#residents.filter(isInMemory), residentOf(next)];
    for (const entry of this.#entries.values()) {
      if (entry === next || residentOf(entry).state !== 'failed') continue;
      if (fitTogether([...loaded, residentOf(entry)], this.#limits)) loaded.push(residentOf(entry));
      else {
        entry.isInEngine = false;
        void this.#engine!.unloadModel(entry.model.name, 0);
      }
    }
  }

  async #load(entry: Entry): Promise<void> {
    const { model, wanted } = entry;
    entry.isInEngine = true;
    this.#parts.changeState(model.name, { state: 'loading' });
    model.texts?.prepare().catch(() => {
      // The first text reads the tokenizer then, and reports the fault.
    });
    await this.#engine!.loadModel(wanted);
  }

  #unload(entry: Entry, reason: UnloadReason): Promise<void> {
    entry.leaving ??= this.#leave(entry, reason).finally(() => {
      entry.leaving = null;
      this.#decide();
    });
    return entry.leaving;
  }

  async #leave(entry: Entry, reason: UnloadReason): Promise<void> {
    const { model } = entry;
    const isRemoved = () => this.#entries.get(model.name) !== entry;
    this.#parts.changeState(model.name, { state: 'unloading' });
    if (entry.uses > 0) await idle(entry);
    if (isRemoved()) return;
    await this.#engine!.unloadModel(model.name, letGoMs);
    if (isRemoved()) return;
    entry.isInEngine = false;
    this.#parts.changeState(model.name, { state: 'unloaded' });
    this.#measure();
    const others = [...this.#entries.values()].filter((other) => other.model.id === model.id);
    if (!others.map(residentOf).some(isInMemory)) model.texts?.forget();
    this.#parts.onUnloaded(model, reason);
  }

  #take(entry: Entry): () => void {
    entry.uses += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      entry.uses -= 1;
      entry.usedAt = this.#parts.clock();
      if (entry.uses > 0) return;
      entry.idle?.resolve();
      entry.idle = null;
      this.#decide();
    };
  }

  #notYet(entry: Entry): ServiceError {
    this.#parts.metrics.rejected(entry.model.name, 'not_ready', 1);
    return notReady(entry.model.name, entry.model.state, entry.loadSeconds);
  }
}

/** Settles when the last use of a model in use ends. */
function idle(entry: Entry): Promise<void> {
  entry.idle ??= Promise.withResolvers();
  return entry.idle.promise;
}

const shuttingDown = () =>
  new ServiceError('shutting_down', 'The service is about to stop.', { retryAfterSeconds: 1 });

/** A model that is about to be loaded for the first time is called `loading` from the start, for clients. */
function residentOf({ model, isInEngine, uses, usedAt, wantedAt }: Entry): Resident {
  const state = isInEngine ? model.state.state : 'unloaded';
  return { name: model.name, state, bytes: memoryOf(model) ?? 0, uses, usedAt, wantedAt };
}
