import type { IncomingMessage, ServerResponse } from 'node:http';
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
  | 'trustedProxies'
  | 'allowedHosts'
  | 'corsOrigins'
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

export interface ServerDependencies {
  config: ServerConfig;
  /** By name. Their states change while the service runs. */
  models: ReadonlyMap<string, ServedModel>;
  engine: Engine;
  compileGrammar: CompileGrammar;
  metrics: Pick<Metrics, 'render' | 'answered' | 'rejected'>;
  /** null: tracing is off. */
  traces: Pick<OtlpExporter, 'add'> | null;
  logger: Logger;
  clock: Clock;
  /** This package's version. */
  version: string;
  /** True from the stop signal on: no new generation starts, and the service is not ready. */
  isDraining: () => boolean;
}

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
