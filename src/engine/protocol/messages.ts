import type { VocabularyData } from '../../catalog/tokenizer/vocabulary.ts';
import type { CachePrecision, Runtime } from '../../runtime/session.ts';
import type { EngineRequest, GenerationEvent } from './generation.ts';

/** One model for an engine worker to load. */
export interface ModelSpec {
  /** Name as served: `<id>` or `<id>:<precision>`. */
  name: string;
  /** Export folder: manifest.json and graphs. */
  folder: string;
  /** Maximum bytes of its cache, instead of the engine's. */
  cacheMemory?: number;
  /** A smaller model with the same vocabulary that proposes its next tokens; it belongs to this model alone. */
  draft?: Pick<ModelSpec, 'name' | 'folder' | 'cacheMemory'>;
}

/** A model, and the bytes behind each of its tokens, which may still be read while the engine loads the graphs. */
export interface ModelToLoad {
  spec: ModelSpec;
  vocabulary: Promise<VocabularyData>;
}

export interface EngineOptions {
  runtime: Runtime;
  threads: number;
  slots: number;
  /** null: the model's own limit where the cache grows with its use. */
  maxContext: number | null;
  /** Maximum bytes of one model's cache; null: the default. */
  cacheMemory: number | null;
  cachePrecision: CachePrecision;
  stepTokens: number;
  /** 0: no limit. */
  stepMs: number;
  prefillChunk: number;
  promptLookup: boolean;
}

/** Start data of the worker thread. */
export interface WorkerData {
  options: EngineOptions;
}

/** Main thread → engine worker. */
export type EngineCommand =
  /** Loads run one at a time, while the loaded models keep stepping. */
  | { type: 'load'; spec: ModelSpec }
  /** What a load waits for at its end. `problem`: there is no vocabulary, so the load fails. */
  | { type: 'vocabulary'; model: string; vocabulary: VocabularyData }
  | { type: 'vocabulary'; model: string; problem: string }
  /** Aborts the model's remaining requests and closes its session. */
  | { type: 'unload'; model: string }
  | { type: 'submit'; requests: readonly EngineRequest[] }
  | { type: 'abort'; ids: readonly string[] }
  /** Aborts everything, closes all sessions and exits. */
  | { type: 'close' };

/** What one step of a model did. */
export interface StepReport {
  model: string;
  /** Milliseconds inside the session, per phase; null when the phase did not run. */
  prefillMs: number | null;
  decodeMs: number | null;
  /** Rows of the decode batch. */
  decodeRows: number;
  prefillTokens: number;
  waiting: number;
  running: number;
  /** Milliseconds that the prompts not yet computed will take, without what decodes meanwhile. */
  prefillBacklogMs: number;
  /** Share of the slot cache that running sequences use, 0–1. */
  cacheUsage: number;
  /** Bytes of keys and values in memory, for running sequences and for later prompts. */
  cacheBytes: number;
}

/** Engine worker → main thread. */
export type EngineReport =
  | {
      type: 'loaded';
      model: string;
      seconds: number;
      runtime: Runtime;
      slots: number;
      capacity: number;
      encoderCapacity: number;
      encoderWidth: number;
      cacheBudget: number;
      isCacheLimit: boolean;
    }
  | { type: 'load-failed'; model: string; message: string }
  | { type: 'unloaded'; model: string }
  | { type: 'stepped'; step: StepReport; events: readonly GenerationEvent[] }
  /** An internal error: for the log, never for clients. */
  | { type: 'fault'; model: string; detail: string }
  | { type: 'closed' };

/** One end of a channel between threads: a MessagePort, a Worker, or a worker's parentPort. */
export interface Port<Sent, Received> {
  postMessage(message: Sent): void;
  on(event: 'message', listener: (message: Received) => void): unknown;
}

/** The part of a thrown value that we log. */
export function errorDetail(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
