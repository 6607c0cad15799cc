import type { VocabularyData } from '../../catalog/tokenizer/vocabulary.ts';
import type { Runtime } from '../../runtime/session.ts';
import type { GenerationEvent, GenerationRequest } from './generation.ts';

/** One model for an engine worker to load. */
export interface ModelSpec {
  /** Name as served: `<id>` or `<id>:<precision>`. */
  name: string;
  /** What the checkpoint's tokens stand for. */
  vocabulary: VocabularyData;
  /** Export folder: manifest.json and graphs. */
  folder: string;
}

export interface EngineOptions {
  runtime: Runtime;
  threads: number;
  slots: number;
  maxContext: number;
  stepTokens: number;
  prefillChunk: number;
}

/** What the worker is started with. */
export interface WorkerData {
  options: EngineOptions;
}

/** Main thread → engine worker. */
export type EngineCommand =
  /** Loads run one after another, beside the steps of the models that are there. */
  | { type: 'load'; spec: ModelSpec }
  /** Abort what is left of its requests, close its session. */
  | { type: 'unload'; model: string }
  | { type: 'submit'; requests: readonly GenerationRequest[] }
  | { type: 'abort'; ids: readonly string[] }
  /** Finish nothing more: abort everything, close all sessions, exit. */
  | { type: 'close' };

/** What one step of a model did. */
export interface StepReport {
  model: string;
  /** Milliseconds inside the session, by phase; null when the phase did not run. */
  prefillMs: number | null;
  decodeMs: number | null;
  /** Rows of the decode batch. */
  decodeRows: number;
  prefillTokens: number;
  waiting: number;
  running: number;
  /** Share of the slot cache's positions in use, 0–1. */
  cacheUsage: number;
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
    }
  | { type: 'load-failed'; model: string; message: string }
  | { type: 'unloaded'; model: string }
  | { type: 'stepped'; step: StepReport; events: readonly GenerationEvent[] }
  /** Something went wrong inside; for the log, never for clients. */
  | { type: 'fault'; model: string; detail: string }
  | { type: 'closed' };

/** An end of a channel between threads: a MessagePort, a Worker, or a worker's parentPort. */
export interface Port<Sent, Received> {
  postMessage(message: Sent): void;
  on(event: 'message', listener: (message: Received) => void): unknown;
}

/** What of something thrown is worth a log entry. */
export function errorDetail(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
