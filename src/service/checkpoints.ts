import { readdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Precision } from '../catalog/manifest.ts';
import { missingFiles } from '../catalog/missing-files.ts';
import { sharedClock } from '../engine/protocol/clock.ts';
import type { EngineOptions } from '../engine/protocol/messages.ts';
import { gibibytes, MemoryBudget } from '../engine/worker/memory-budget.ts';
import { planMemory } from '../engine/worker/model-memory.ts';
import { ConfigurationError } from '../errors.ts';
import type { Export } from '../export/export-checkpoint.ts';
import { ExportThread } from '../export/export-thread.ts';
import { timeLeft } from '../export/time-left.ts';
import { downloadModel } from '../hub/download-model.ts';
import type { ModelSource } from './model-sources.ts';

/** Minimum time between log lines about a running download or export. */
const progressIntervalMs = 5000;

/**
 * Plans a model's memory.
 * @param available bytes for all models together
 * @throws ConfigurationError for a model that would not fit without others
 */
export async function planAlone(
  { manifest, folder }: Export,
  options: EngineOptions,
  available: number,
): Promise<{ weights: number; cache: number }> {
  const { need } = await planMemory(manifest, folder, options, new MemoryBudget(available));
  const { weights, cache, isGrowing } = need;
  if (weights + cache <= available) return { weights, cache };
  throw new ConfigurationError(
    `the model needs ${gibibytes(weights + cache)} of memory, ${gibibytes(weights)} for its weights and ` +
      `${gibibytes(cache)} for its cache; ALTUP_MEMORY_LIMIT leaves ${gibibytes(Math.max(0, available))} for models. ` +
      `Raise it, or lower ${isGrowing ? 'ALTUP_CACHE_MEMORY' : 'ALTUP_SLOTS or ALTUP_CONTEXT'}.`,
  );
}

/** Fetches checkpoints and makes their exports. Logs what takes long. */
export class Checkpoints {
  readonly #logger: Logger;
  /** Aborts a running download. */
  readonly #stop = new AbortController();
  readonly #exporter = new ExportThread();

  #isExporting = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** The exporter's thread may hold the memory of an export. */
  get isExporting(): boolean {
    return this.#isExporting;
  }

  /** Returns the checkpoint's folder, downloaded if necessary. @throws ConfigurationError when there is none */
  async locate({ id, place }: ModelSource): Promise<string> {
    if ('folder' in place) {
      const problem = missingFiles(await readdir(place.folder));
      if (problem !== null) throw new ConfigurationError(`${place.folder}: ${problem}`);
      return place.folder;
    }
    if ('reason' in place) throw new ConfigurationError(place.reason);
    const { signal } = this.#stop;
    const onProgress = this.#progressLog(id, 'downloading');
    const folder = await downloadModel(place.hub, { onProgress, signal });
    this.#logger.info({ model: id, folder }, 'downloaded');
    return folder;
  }

  /** Makes a model's export, unless it has a current one. @throws ConfigurationError */
  async export(model: string, checkpoint: string, precision: Precision): Promise<Export> {
    const wasExporting = this.#isExporting;
    this.#isExporting = true;
    const exported = await this.#exporter.run(checkpoint, precision, this.#progressLog(model, 'exporting'));
    this.#isExporting = wasExporting || exported.isNew;
    if (exported.isNew) this.#logger.info({ model, folder: exported.folder }, 'exported');
    return exported;
  }

  /** Ends the exporter's thread until the next export. */
  async rest(): Promise<void> {
    await this.#exporter.end();
    this.#isExporting = false;
  }

  /** Stops a running download or export. */
  close(): Promise<void> {
    this.#stop.abort();
    return this.#exporter.end();
  }

  #progressLog(
    model: string,
    doing: 'downloading' | 'exporting',
  ): (progress: { doneBytes: number; totalBytes: number }) => void {
    const startedAt = sharedClock();
    let lastAt = startedAt;
    return ({ doneBytes, totalBytes }) => {
      const now = sharedClock();
      if (now - lastAt < progressIntervalMs) return;
      lastAt = now;
      const done = doneBytes / totalBytes;
      this.#logger.info(
        { model, percent: Math.round(100 * done), left: timeLeft(done, now - startedAt) },
        doing,
      );
    };
  }
}
