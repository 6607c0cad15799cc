import { parentPort } from 'node:worker_threads';
import { ensureExport } from './export-checkpoint.ts';
import type { ExportThreadCommand, ExportThreadJob, ExportThreadReport } from './export-thread.ts';

/** Entry point of the exporter's thread. Jobs run one after another; the command `end` aborts the running job. */
const ending = new AbortController();
let last: Promise<void> = Promise.resolve();

const report = (message: ExportThreadReport) => parentPort!.postMessage(message);

async function run({ number, checkpoint, precision }: ExportThreadJob): Promise<void> {
  try {
    ending.signal.throwIfAborted();
    const exported = await ensureExport(checkpoint, precision, {
      onProgress: (progress) => report({ number, progress }),
      signal: ending.signal,
    });
    report({ number, exported });
  } catch (error) {
    report({ number, error: (error as Error).message });
  }
}

parentPort!.on('message', (command: ExportThreadCommand) => {
  if (command !== 'end') {
    last = last.then(() => run(command));
    return;
  }
  ending.abort();
  void last.then(() => parentPort!.close());
});
