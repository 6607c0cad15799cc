import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { Logger } from 'pino';
import type { ServedModel } from '../catalog/served-model.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../engine/protocol/clock.ts';
import type { Engine } from '../engine/protocol/engine.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { OtlpExporter } from '../observability/otlp-exporter.ts';
import type { CompileGrammar } from '../sampling/grammar.ts';

/** The settings that the HTTP server reads. */
export type ServerConfig = Pick<
  Config,
  | 'apiKeys'
  | 'urgentKeys'
  | 'adminKeys'
  | 'loadsOnDemand'
  | 'trustedProxies'
  | 'allowedHosts'
  | 'corsOrigins'
  | 'playgroundOrigins'
  | 'bodyLimit'
  | 'unknownFields'
  | 'responsesStore'
  | 'rateLimit'
  | 'streamBuffer'
  | 'streamIntervalMs'
  | 'strict'
  | 'queueTimeoutMs'
  | 'requestTimeoutMs'
  | 'maxQueuedRequests'
  | 'maxQueuedTokens'
  | 'clientQueueShare'
>;

/** Who asks for a model. */
export interface ModelAsker {
  client: string;
  /** Aborts when nobody waits for the answer any more. */
  signal: AbortSignal;
}

/** What a reload found. */
export interface Reloaded {
  added: string[];
  removed: string[];
  /** Models that had failed and are tried again. */
  retried: string[];
  /** Why the models stay as they were; null: they were read. */
  problem: string | null;
}

/** The models that are in memory, as requests and administrators change them. */
export interface ModelKeeper {
  /**
   * Waits until a model takes requests, and keeps it in memory until the returned function is called.
   * @throws ServiceError `not_ready`, `queue_full`, `shutting_down`; the reason of the asker's signal
   */
  use(model: ServedModel, asker: ModelAsker): Promise<() => void>;
  /** Loads a model, also one that failed. @throws as `use` */
  load(model: ServedModel, asker: ModelAsker): Promise<void>;
  /** Unloads a model once nothing uses it. */
  unload(model: ServedModel): Promise<void>;
  /**
   * Reads the folders and the keys again. Exports and loads go on after it has returned.
   * @returns null if the folders are only read after what is being downloaded, exported or removed now
   */
  reload(): Promise<Reloaded | null>;
}

export interface ServerDependencies {
  config: ServerConfig;
  /** By name. Their states change while the service runs. */
  models: ReadonlyMap<string, ServedModel>;
  keeper: ModelKeeper;
  engine: Engine;
  compileGrammar: CompileGrammar;
  metrics: Pick<Metrics, 'render' | 'answered' | 'generationEnded' | 'rejected'>;
  /** null: tracing is off. */
  traces: Pick<OtlpExporter, 'add'> | null;
  logger: Logger;
  clock: Clock;
  /** This package's version. */
  version: string;
  /** True from the stop signal on: the service is not ready, and takes no generation from a late connection. */
  isDraining: () => boolean;
  /** Whether a connection came after the stop signal, or any generation would. */
  isLate: (connection: Socket) => boolean;
}

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
