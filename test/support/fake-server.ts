import { noDefaults } from '../../src/catalog/generation-defaults.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import type { ModelState, ServedModel } from '../../src/catalog/served-model.ts';
import { ChatTemplate } from '../../src/catalog/tokenizer/chat-template.ts';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { buildServer } from '../../src/http/server.ts';
import type {
  App,
  ModelKeeper,
  ServerConfig,
  ServerDependencies,
} from '../../src/http/server-dependencies.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { createMetricsCatalogue } from '../../src/observability/metrics-catalogue.ts';
import type { CompileGrammar } from '../../src/sampling/grammar.ts';
import { documentedAnswersOnly } from './documented-answers.ts';
import { FakeEngine } from './fake-engine.ts';
import { fakeRuntime, fakeWidth } from './fake-session.ts';
import { fakeTexts, fakeTokenizer } from './fake-tokenizer.ts';

const capacity = 32;
const encoderCapacity = 24;

/** The manifest of an AltUp model, with an encoder unless it is `decoder-only`. */
export function fakeManifest(kind: 'encoder-decoder' | 'decoder-only' = 'encoder-decoder'): Manifest {
  const isPair = kind === 'encoder-decoder';
  return {
    format: 1,
    exporter: '1',
    digest: 'sha256:0123456789abcdef0123',
    source: [],
    files: [],
    family: isPair ? 't5' : 'gemma3',
    precision: 'fp32',
    altup: { numBlocks: 2, selection: 'alternating', recycled: false, coefficients: 'shared' },
    sequence: null,
    moe: null,
    parameters: 1234,
    graphs: { decoder: 'decoder.onnx', encoder: isPair ? 'encoder.onnx' : null },
    vocabSize: 259,
    specialTokens: { eos: [1], bos: null, pad: 0, decoderStart: isPair ? 0 : null },
    cache: [{ kvHeads: 1, headSize: 8, slidingWindow: null }],
    cross: isPair ? [{ heads: 1, headSize: 8 }] : [],
    contextLength: 64,
    // Byte 255, which no text contains.
    mediaTokens: { image: isPair ? [] : [258], audio: [] },
    encoderContextLength: isPair ? 64 : null,
  };
}

export function fakeModel(
  name: string,
  state?: ModelState,
  kind?: 'encoder-decoder' | 'decoder-only',
): ServedModel {
  const isFailed = state?.state === 'failed';
  return {
    name,
    id: name.split(':')[0]!,
    precision: 'fp32',
    manifest: isFailed ? null : fakeManifest(kind),
    vocabulary: isFailed ? null : fakeTokenizer(),
    texts: isFailed ? null : fakeTexts(new ChatTemplate('{{ messages[0].content }}')),
    defaults: noDefaults,
    memory: isFailed ? null : { weights: 1000, cache: 500 },
    created: 1_780_000_000,
    isRequired: true,
    state: state ?? {
      state: 'ready',
      slots: 4,
      capacity,
      encoderCapacity,
      encoderWidth: kind === 'decoder-only' ? 0 : fakeWidth,
      cacheBudget: 0,
      isCacheLimit: false,
      runtime: fakeRuntime,
    },
  };
}

export interface FakeServer {
  app: App;
  engine: FakeEngine;
  metrics: Metrics;
  /** Lines logged so far. */
  log: Record<string, unknown>[];
  clock: { now: number };
  drain(): void;
}

interface FakeServerOptions {
  models?: ServedModel[];
  config?: Partial<ServerConfig>;
  traces?: ServerDependencies['traces'];
  compileGrammar?: CompileGrammar;
  keeper?: Partial<ModelKeeper>;
  /** Turns an answer that the API's description does not allow into a 500. */
  isHeldToDescription?: boolean;
}

/** @throws Error when a field occurs twice */
function parseLogLine(line: string): Record<string, unknown> {
  const record = JSON.parse(line);
  if (JSON.stringify(record) !== line.trimEnd()) throw new Error(`a log line with a field twice: ${line}`);
  return record;
}

export const fakeConfig: ServerConfig = {
  apiKeys: new ApiKeys(),
  urgentKeys: new Set(),
  adminKeys: new Set(),
  loadsOnDemand: false,
  trustedProxies: false,
  allowedHosts: null,
  corsOrigins: null,
  playgroundOrigins: [],
  rateLimit: null,
  streamBuffer: 1_000_000,
  streamIntervalMs: 5,
  strict: false,
  bodyLimit: 100_000,
  unknownFields: 'refuse',
  responsesStore: null,
  queueTimeoutMs: 100,
  requestTimeoutMs: 1000,
  maxQueuedRequests: 256,
  maxQueuedTokens: 1000,
  clientQueueShare: 100,
};

/** Models stay as the test made them. */
export const idleKeeper: ModelKeeper = {
  use: async () => () => {},
  load: async () => {},
  unload: async () => {},
  reload: async () => ({ added: [], removed: [], retried: [], problem: null }),
};

/** The whole HTTP server on a fake engine; the test controls the clock. */
export function fakeServer({
  models = [fakeModel('tiny')],
  config = {},
  traces = null,
  compileGrammar = async () => ({ id: 1 }),
  keeper = {},
  isHeldToDescription = true,
}: FakeServerOptions = {}): FakeServer {
  const engine = new FakeEngine();
  const metrics = new Metrics(createMetricsCatalogue(), '1.2.3');
  const log: Record<string, unknown>[] = [];
  const clock = { now: 1000 };
  let isDraining = false;
  const app = buildServer({
    config: {
      ...fakeConfig,
      ...config,
    },
    models: new Map(models.map((model) => [model.name, model])),
    keeper: { ...idleKeeper, ...keeper },
    engine,
    compileGrammar,
    metrics,
    traces,
    logger: createLogger('debug', { write: (line) => log.push(parseLogLine(line)) }),
    clock: () => clock.now,
    version: '1.2.3',
    isDraining: () => isDraining,
    isLate: () => true,
  });
  if (isHeldToDescription) documentedAnswersOnly(app);
  const drain = () => {
    isDraining = true;
  };
  return { app, engine, metrics, log, clock, drain };
}
