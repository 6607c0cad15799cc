import type { Logger } from 'pino';
import { noDefaults } from './catalog/generation-defaults.ts';
import type { Precision } from './catalog/manifest.ts';
import { findModels, type ModelFolder } from './catalog/model-folders.ts';
import type { ModelState, ServedModel } from './catalog/served-model.ts';
import { readTexts, requireVocabulary, type Texts } from './catalog/texts.ts';
import { TokenizingThread } from './catalog/tokenizing-thread.ts';
import type { Config } from './config.ts';
import { Admission } from './engine/admission.ts';
import { sharedClock } from './engine/clock.ts';
import type { Engine } from './engine/engine.ts';
import type { EngineClient } from './engine/engine-client.ts';
import type { ModelSpec } from './engine/messages.ts';
import { startEngine } from './engine/start-worker.ts';
import { ConfigurationError, ServiceError } from './errors.ts';
import { type Export, ensureExport } from './export/export-checkpoint.ts';
import { buildServer } from './http/server.ts';
import type { App } from './http/server-dependencies.ts';
import { UnusedConnections } from './http/unused-connections.ts';
import type { LogOutputListener } from './observability/log-output.ts';
import { Metrics } from './observability/metrics.ts';
import { createMetricsCatalogue } from './observability/metrics-catalogue.ts';
import { OtlpExporter } from './observability/otlp-exporter.ts';
import { chooseRuntime } from './runtime/choose-runtime.ts';
import { compileGrammar } from './runtime/native-grammars.ts';
import type { Runtime } from './runtime/session.ts';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A line about a running export at most this often. */
const exportLogIntervalMs = 5000;

/** What clients get at least to take in what was written to them before their connections are cut. */
const lastWordsMs = 1000;

/**
 * The service: HTTP side, engine and models. It listens before its models are ready, so that health answers from
 * the start; what is asked of a model meanwhile is refused with `not_ready`.
 */
export class Service {
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #models = new Map<string, Writable<ServedModel>>();
  readonly #server: App;
  readonly #unusedConnections: UnusedConnections;
  #engine: EngineClient | null = null;
  #isDraining = false;
  readonly #traces: OtlpExporter | null;
  readonly #tokenizing = new TokenizingThread();
  #unwatchKeys = () => {};

  constructor(config: Config, logger: Logger, version: string) {
    this.#config = config;
    this.#logger = logger;
    this.#metrics = new Metrics(createMetricsCatalogue(), version);
    const { otelEndpoint } = config;
    this.#traces = otelEndpoint === undefined ? null : new OtlpExporter(otelEndpoint, version, logger);
    this.#server = buildServer({
      config,
      models: this.#models,
      engine: this.#engineOrRefusal(),
      compileGrammar,
      metrics: this.#metrics,
      traces: this.#traces,
      logger,
      clock: sharedClock,
      version,
      isDraining: () => this.#isDraining,
    });
    this.#unusedConnections = new UnusedConnections(this.#server.server);
  }

  /** Counts the log lines that are lost, and says so in the log once it takes lines again. */
  get logListener(): LogOutputListener {
    return {
      dropped: () => this.#metrics.logLineDropped(),
      recovered: (lines) => this.#logger.warn({ lines }, 'log lines dropped'),
    };
  }

  /** Resolves when every model is ready or failed. @throws ConfigurationError when nothing, or not all of a strict list, can be served */
  async start(): Promise<void> {
    const runtime = await this.#chooseRuntime();
    const folders = await findModels(this.#config.models);
    for (const { id } of folders) this.#addModels(id);
    await this.#listen();
    this.#watchKeys();
    const specs: ModelSpec[] = [];
    for (const folder of folders) {
      specs.push(...(await this.#prepareAll(folder)));
      if (this.#isDraining) return;
    }
    this.#requireModels();
    if (this.#isDraining) return;
    this.#engine = this.#startEngine(specs, runtime);
    await this.#engine.whenLoaded();
    this.#requireModels();
    if (!this.#isDraining) this.#logger.info({ models: this.#namesOf('ready') }, 'ready');
  }

  /** Takes nothing new, lets running requests finish until the drain deadline, then closes. */
  async stop(): Promise<void> {
    this.#isDraining = true;
    const { drainTimeoutMs } = this.#config;
    const deadline = sharedClock() + drainTimeoutMs;
    this.#logger.info({ withinMs: drainTimeoutMs }, 'draining');
    const isClosed = (await this.#engine?.drain(drainTimeoutMs)) ?? true;
    await this.#closeServer(deadline);
    if (!isClosed) throw new Error('the engine did not stop in time');
    this.#logger.info('stopped');
  }

  /** Frees what a failed start has taken. */
  async abandon(): Promise<void> {
    this.#isDraining = true;
    await this.#engine?.drain(0);
    await this.#closeServer(0);
  }

  /** A client that no longer reads, or never finishes its request, is waited for until the deadline and a moment. */
  async #closeServer(deadline: number): Promise<void> {
    this.#unwatchKeys();
    const cutOff = () => this.#server.server.closeAllConnections();
    const timers = [
      setTimeout(() => this.#unusedConnections.close(), lastWordsMs),
      setTimeout(cutOff, Math.max(lastWordsMs, deadline - sharedClock())),
    ];
    await this.#server.close();
    for (const timer of timers) clearTimeout(timer);
    await this.#tokenizing.close();
    await this.#traces?.flush();
  }

  #engineOrRefusal(): Engine {
    return {
      generate: (requests, signal) => {
        if (this.#engine) return this.#engine.generate(requests, signal);
        throw new ServiceError('not_ready', 'The models are loading.', { retryAfterSeconds: 5 });
      },
      load: () => this.#engine?.load() ?? { waiting: 0, running: 0, queuedTokens: 0 },
    };
  }

  /** One model for each precision; the default one has the plain name. */
  #addModels(id: string): void {
    const created = Math.floor(Date.now() / 1000);
    this.#config.precisions.forEach((precision, index) => {
      const name = index === 0 ? id : `${id}:${precision}`;
      this.#models.set(name, {
        name,
        id,
        precision,
        manifest: null,
        tokenizer: null,
        encode: null,
        chatTemplate: null,
        defaults: noDefaults,
        created,
        state: { state: 'loading' },
      });
    });
  }

  async #chooseRuntime(): Promise<Runtime> {
    const { runtime, fallback, because } = await chooseRuntime(this.#config);
    const slower = 'the portable onnxruntime-node session runs the models, slower above all at long contexts';
    if (runtime.backend === 'native') this.#logger.info({ ...runtime, because }, 'runtime');
    else this.#logger.warn({ ...runtime, because, reason: fallback ?? 'ALTUP_BACKEND asks for it' }, slower);
    return runtime;
  }

  async #listen(host = this.#config.host): Promise<void> {
    const { port } = this.#config;
    try {
      const url = await this.#server.listen({ host, port });
      this.#logger.info({ url }, 'listening');
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      // Every address of a machine without IPv6 is every IPv4 address.
      if (host === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'))
        return this.#listen('0.0.0.0');
      const problems: Record<string, string> = {
        EADDRINUSE: `ALTUP_PORT: port ${port} on ${host} is in use; stop what uses it or choose another with --port`,
        EACCES: `ALTUP_PORT: this user may not listen on port ${port}; ports from 1024 up need no privilege`,
        EADDRNOTAVAIL: `ALTUP_HOST: ${host} is no address of this machine`,
        EAFNOSUPPORT: `ALTUP_HOST: this machine has no IPv6, so it cannot listen on ${host}`,
        ENOTFOUND: `ALTUP_HOST: ${host} cannot be resolved`,
      };
      throw new ConfigurationError(problems[code ?? ''] ?? `cannot listen on ${host}:${port}: ${cause}`, {
        cause,
      });
    }
  }

  #watchKeys(): void {
    this.#unwatchKeys = this.#config.apiKeys.watch(
      (keys) => this.#logger.info({ keys }, 'API keys read again'),
      ({ message }) => this.#logger.error({ reason: message }, 'API keys stay as they were'),
    );
  }

  /** A folder's models that can be served, one for each precision. */
  async #prepareAll({ id, folder }: ModelFolder): Promise<ModelSpec[]> {
    const specs: ModelSpec[] = [];
    let texts: Texts | null = null;
    for (const model of this.#models.values()) {
      if (model.id !== id || this.#isDraining) continue;
      try {
        const exported = await this.#export(model.name, folder, model.precision);
        texts ??= await readTexts(folder, this.#tokenizing);
        requireVocabulary(folder, texts, exported.manifest);
        Object.assign(model, { manifest: exported.manifest, ...texts });
        specs.push({ name: model.name, checkpoint: folder, folder: exported.folder });
      } catch (error) {
        this.#changeState(model.name, { state: 'failed', message: (error as Error).message });
      }
    }
    return specs;
  }

  async #export(model: string, checkpoint: string, precision: Precision): Promise<Export> {
    const exported = await ensureExport(checkpoint, precision, { onProgress: this.#exportLog(model) });
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

  #startEngine(models: readonly ModelSpec[], runtime: Runtime): EngineClient {
    const { threads, slots, context, stepTokens, prefillChunk } = this.#config;
    const options = { runtime, threads, slots, maxContext: context, stepTokens, prefillChunk };
    return startEngine(
      { models, options },
      {
        admission: new Admission(this.#config, sharedClock),
        observer: this.#metrics,
        clock: sharedClock,
        onModelState: (model, state, loadSeconds) => this.#changeState(model, state, loadSeconds),
        onFault: (model, detail) => this.#logger.error({ model, detail }, 'engine fault'),
      },
    );
  }

  #changeState(name: string, state: ModelState, loadSeconds: number | null = null): void {
    const model = this.#models.get(name)!;
    model.state = state;
    if (state.state === 'failed') this.#logger.error({ model: name, reason: state.message }, 'model failed');
    if (state.state === 'restarting')
      this.#logger.warn({ model: name, ...state }, 'model is being restarted');
    if (state.state === 'ready') {
      this.#logger.info({ model: name, loadSeconds, ...state.runtime }, 'model ready');
    }
    if (loadSeconds !== null) this.#metrics.loaded(model, loadSeconds);
  }

  #namesOf(state: ModelState['state']): string[] {
    return [...this.#models.values()].filter((model) => model.state.state === state).map(({ name }) => name);
  }

  #requireModels(): void {
    const failed = this.#namesOf('failed');
    if (failed.length === 0 || (!this.#config.strict && failed.length < this.#models.size)) return;
    const reasons = failed.map((name) => {
      const { state } = this.#models.get(name)!;
      return `  ${name}: ${state.state === 'failed' ? state.message : ''}`;
    });
    const why = this.#config.strict
      ? 'not every model can be served (ALTUP_STRICT)'
      : 'no model can be served';
    throw new ConfigurationError(`${why}:\n${reasons.join('\n')}`);
  }
}
