import type { Logger } from 'pino';
import { TextWorkers } from '../catalog/texts/text-workers.ts';
import type { Config } from '../config/config.ts';
import { Admission } from '../engine/client/admission.ts';
import { type EngineClient, startEngine } from '../engine/client/engine-client.ts';
import { within } from '../engine/client/supervised-worker.ts';
import { sharedClock } from '../engine/protocol/clock.ts';
import type { Engine } from '../engine/protocol/engine.ts';
import type { EngineOptions } from '../engine/protocol/messages.ts';
import { ConfigurationError, ServiceError } from '../errors.ts';
import { buildServer } from '../http/server.ts';
import type { App, Reloaded } from '../http/server-dependencies.ts';
import type { LogOutputListener } from '../observability/logger.ts';
import { Metrics } from '../observability/metrics.ts';
import { createMetricsCatalogue } from '../observability/metrics-catalogue.ts';
import { OtlpExporter } from '../observability/otlp-exporter.ts';
import { chooseRuntime } from '../runtime/choose-runtime.ts';
import { GrammarCompiler } from '../runtime/grammars/grammar-compiler.ts';
import type { Runtime } from '../runtime/session.ts';
import { Connections } from './connections.ts';
import { ModelLibrary } from './model-library.ts';

/** Minimum time that clients get to read what was written to them before their connections are closed. */
const lastWordsMs = 1000;

/** How long clients may ask once more on a connection that they keep, before it is closed. */
const leaveMs = 1000;

/**
 * The service: HTTP side, engine and models. It listens before its models are ready, so that the health routes answer
 * from the start; requests for a model that is not ready are refused with `not_ready`.
 */
export class Service {
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #library: ModelLibrary;
  readonly #server: App;
  readonly #connections: Connections;
  #engine: EngineClient | null = null;
  #isDraining = false;
  /** The library stops later than the server: kept connections may still ask for a model. */
  #isClosing = false;
  readonly #traces: OtlpExporter | null;
  readonly #texts: TextWorkers;
  readonly #grammars: GrammarCompiler;
  #unwatchKeys = () => {};
  /** Log the result of reading the keys again. */
  readonly #onKeys = [
    (keys: number) => this.#logger.info({ keys }, 'API keys read again'),
    ({ message }: Error) => this.#logger.error({ reason: message }, 'API keys stay as they were'),
  ] as const;

  constructor(config: Config, logger: Logger, version: string) {
    this.#config = config;
    this.#logger = logger;
    this.#metrics = new Metrics(createMetricsCatalogue(), version);
    this.#texts = new TextWorkers(this.#metrics);
    const { otelEndpoint } = config;
    this.#traces = otelEndpoint === undefined ? null : new OtlpExporter(otelEndpoint, version, logger);
    this.#library = new ModelLibrary({
      config,
      logger,
      metrics: this.#metrics,
      texts: this.#texts,
      forgetGrammars: (model) => this.#grammars.forget(model),
      isDraining: () => this.#isClosing,
    });
    this.#grammars = new GrammarCompiler(this.#metrics, sharedClock, (reason) =>
      logger.error({ reason }, 'grammar trials failed'),
    );
    this.#server = buildServer({
      config,
      models: this.#library.models,
      keeper: {
        use: (model, asker) => this.#library.use(model, asker),
        load: (model, asker) => this.#library.load(model, asker),
        unload: (model) => this.#library.unload(model),
        reload: () => this.reload(),
      },
      engine: this.#engineOrRefusal(),
      compileGrammar: (model, source, asker) => this.#grammars.compile(model, source, asker),
      metrics: this.#metrics,
      traces: this.#traces,
      logger,
      clock: sharedClock,
      version,
      isDraining: () => this.#isDraining,
      isLate: (socket) => this.#isClosing || this.#connections.isLate(socket),
    });
    this.#connections = new Connections(this.#server.server);
  }

  /** Counts lost log lines and logs their number once the log takes lines again. */
  get logListener(): LogOutputListener {
    return {
      dropped: () => this.#metrics.logLineDropped(),
      recovered: (lines) => this.#logger.warn({ lines }, 'log lines dropped'),
    };
  }

  /**
   * Resolves when every model is ready or failed.
   * @throws ConfigurationError when no model can be served, or with `strict` when any cannot
   */
  async start(): Promise<void> {
    const runtime = await this.#chooseRuntime();
    await this.#library.find();
    await this.#listen();
    this.#watchKeys();
    if (this.#isDraining) return;
    const options = this.#engineOptions(runtime);
    this.#engine = this.#startEngine(options);
    await this.#library.serve(this.#engine, options);
  }

  /**
   * Reads the keys file and the model folders again. An error in either changes nothing that is served.
   * @returns as `ModelLibrary.reload`
   */
  async reload(): Promise<Reloaded | null> {
    if (this.#engine === null) {
      return { added: [], removed: [], retried: [], problem: 'The service is starting.' };
    }
    if (!this.#isDraining) {
      this.#logger.info('reloading');
      this.#config.apiKeys.readAgain(...this.#onKeys);
    }
    return this.#library.reload();
  }

  /** Takes nothing new, lets running requests finish until the drain deadline, then closes. */
  async stop(): Promise<void> {
    this.#isDraining = true;
    const { drainTimeoutMs } = this.#config;
    const deadline = sharedClock() + drainTimeoutMs;
    this.#logger.info({ withinMs: drainTimeoutMs }, 'draining');
    // Not only those that the engine has: others are still tokenized, or their grammar is compiled.
    await this.#connections.leave(leaveMs, drainTimeoutMs);
    this.#isClosing = true;
    const exporterEnded = this.#library.close();
    this.#grammars.close();
    const isClosed = (await this.#engine?.drain(Math.max(0, deadline - sharedClock()))) ?? true;
    await this.#closeServer(deadline);
    await within(lastWordsMs, exporterEnded);
    if (!isClosed) throw new Error('the engine did not stop in time');
    this.#logger.info('stopped');
  }

  /** Frees what a failed start has acquired. */
  async abandon(): Promise<void> {
    this.#isDraining = true;
    this.#isClosing = true;
    void this.#library.close();
    await this.#engine?.drain(0);
    await this.#closeServer(0);
  }

  /** Waits for clients that stop reading or never finish a request: until the deadline, at least `lastWordsMs`. */
  async #closeServer(deadline: number): Promise<void> {
    this.#unwatchKeys();
    this.#texts.close();
    const cutOff = () => this.#server.server.closeAllConnections();
    const timers = [
      setTimeout(() => this.#connections.closeIdle(), lastWordsMs),
      setTimeout(cutOff, Math.max(lastWordsMs, deadline - sharedClock())),
    ];
    await this.#server.close();
    for (const timer of timers) clearTimeout(timer);
    this.#grammars.close();
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

  async #chooseRuntime(): Promise<Runtime> {
    const { runtime, fallback, because } = await chooseRuntime(this.#config);
    const slower =
      'the portable onnxruntime-node session runs the models; it is slower, most of all at long contexts';
    if (runtime.backend === 'native') this.#logger.info({ ...runtime, because }, 'runtime');
    else this.#logger.warn({ ...runtime, because, reason: fallback ?? 'ALTUP_BACKEND sets it' }, slower);
    return runtime;
  }

  async #listen(host = this.#config.host): Promise<void> {
    const { port } = this.#config;
    try {
      const url = await this.#server.listen({ host, port });
      this.#logger.info({ url }, 'listening');
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      // On a machine without IPv6, every address means every IPv4 address.
      if (host === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'))
        return this.#listen('0.0.0.0');
      const problems: Record<string, string> = {
        EADDRINUSE: `ALTUP_PORT: port ${port} on ${host} is in use; stop the program that uses it or choose another with --port`,
        EACCES: `ALTUP_PORT: this user may not listen on port ${port}; ports from 1024 up need no privilege`,
        EADDRNOTAVAIL: `ALTUP_HOST: ${host} is not an address of this machine`,
        EAFNOSUPPORT: `ALTUP_HOST: this machine has no IPv6, so it cannot listen on ${host}`,
        ENOTFOUND: `ALTUP_HOST: ${host} cannot be resolved`,
      };
      throw new ConfigurationError(problems[code ?? ''] ?? `cannot listen on ${host}:${port}: ${cause}`, {
        cause,
      });
    }
  }

  #watchKeys(): void {
    this.#unwatchKeys = this.#config.apiKeys.watch(...this.#onKeys);
  }

  #engineOptions(runtime: Runtime): EngineOptions {
    const { threads, slots, context, cacheMemory, cachePrecision, promptLookup } = this.#config;
    const { stepTokens, stepMs, prefillChunk } = this.#config;
    return {
      runtime,
      threads,
      slots,
      maxContext: context ?? null,
      cacheMemory,
      cachePrecision,
      stepTokens,
      stepMs,
      prefillChunk,
      promptLookup,
    };
  }

  #startEngine(options: EngineOptions): EngineClient {
    return startEngine(
      { options },
      {
        admission: new Admission(this.#config, sharedClock),
        observer: this.#metrics,
        clock: sharedClock,
        onModelState: (...report) => this.#library.engineReports(...report),
        onFault: (model, detail) => this.#logger.error({ model, detail }, 'engine fault'),
      },
    );
  }
}
