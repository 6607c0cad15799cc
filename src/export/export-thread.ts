import { Worker } from 'node:worker_threads';
import type { Precision } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import type { Export } from './export-checkpoint.ts';
import type { ExportProgress } from './write-export.ts';

export interface ExportThreadJob {
  number: number;
  checkpoint: string;
  precision: Precision;
}

/** A message to the thread. */
export type ExportThreadCommand = ExportThreadJob | 'end';

/** A message from the thread about the job with this number. */
export type ExportThreadReport = { number: number } & (
  | { progress: ExportProgress }
  | { exported: Export }
  | { error: string }
);

interface Waiting extends PromiseWithResolvers<Export> {
  checkpoint: string;
  onProgress: (progress: ExportProgress) => void;
}

/**
 * Runs `ensureExport` on a separate thread. Converting weights then does not delay other requests, and a checkpoint
 * that needs too much memory ends only the thread. The first job starts the thread.
 */
export class ExportThread {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #ended: Promise<void> = Promise.resolve();
  #count = 0;

  /** @throws ConfigurationError as `ensureExport` does */
  run(
    checkpoint: string,
    precision: Precision,
    onProgress: (progress: ExportProgress) => void,
  ): Promise<Export> {
    this.#worker ??= this.#start();
    const number = this.#count++;
    const waiting = { ...Promise.withResolvers<Export>(), checkpoint, onProgress };
    this.#waiting.set(number, waiting);
    this.#post({ number, checkpoint, precision });
    return waiting.promise;
  }

  /** Aborts the running job and ends the thread, which frees its memory. The next job starts a new thread. */
  async end(): Promise<void> {
    this.#post('end');
    this.#worker = null;
    await this.#ended;
  }

  #post(command: ExportThreadCommand): void {
    this.#worker?.postMessage(command);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./export-worker.ts', import.meta.url), { name: 'export' });
    let reason = 'the exporter’s thread ended';
    worker.on('message', (report: ExportThreadReport) => this.#take(report));
    worker.on('error', (error) => {
      reason = `the exporter’s thread died: ${error.message}`;
    });
    this.#ended = new Promise((resolve) => {
      worker.on('exit', () => {
        if (this.#worker === worker) this.#worker = null;
        this.#failAll(reason);
        resolve();
      });
    });
    return worker;
  }

  #take(report: ExportThreadReport): void {
    const waiting = this.#waiting.get(report.number);
    if (!waiting) return;
    if ('progress' in report) {
      waiting.onProgress(report.progress);
      return;
    }
    this.#waiting.delete(report.number);
    if ('exported' in report) waiting.resolve(report.exported);
    else waiting.reject(new ConfigurationError(report.error));
  }

  #failAll(reason: string): void {
    for (const { checkpoint, reject } of this.#waiting.values()) {
      reject(new ConfigurationError(`${checkpoint}: cannot be exported: ${reason}`));
    }
    this.#waiting.clear();
  }
}
