import { SingleBar } from 'cli-progress';
import { timeLeft } from './time-left.ts';
import type { ExportProgress } from './write-export.ts';

export interface ProgressDisplay {
  update(progress: ExportProgress): void;
  /** Releases the terminal. Call it after an error too. */
  stop(): void;
}

/** Long enough that exports of a few seconds print no progress lines. */
const plainIntervalMs = 5000;

const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);

/**
 * Shows progress and time left of an export or a download: a bar on a terminal, a line every few seconds elsewhere.
 * @param what the activity, such as `exporting gemma`
 */
export function progressDisplay(
  stream: NodeJS.WritableStream & { isTTY?: boolean },
  what: string,
  now: () => number = Date.now,
): ProgressDisplay {
  // The clock starts with the first bytes: the hashing before them says nothing about the speed.
  let startMs: number | null = null;
  const left: Left = ({ doneBytes, totalBytes }) => {
    startMs ??= now();
    return timeLeft(doneBytes / totalBytes, now() - startMs);
  };
  return stream.isTTY ? barDisplay(stream, what, left) : lineDisplay(stream, what, left, now);
}

type Left = (progress: ExportProgress) => string;

function barDisplay(stream: NodeJS.WritableStream, what: string, left: Left): ProgressDisplay {
  const format = `${what} [{bar}] {doneMiB}/{totalMiB} MiB {left}`;
  const bar = new SingleBar({ stream, format, clearOnComplete: true, hideCursor: true });
  let isStarted = false;
  return {
    update({ doneBytes, totalBytes }) {
      const payload = {
        doneMiB: mebibytes(doneBytes),
        totalMiB: mebibytes(totalBytes),
        left: left({ doneBytes, totalBytes }),
      };
      if (!isStarted) bar.start(totalBytes, 0, payload);
      isStarted = true;
      bar.update(doneBytes, payload);
    },
    stop: () => bar.stop(),
  };
}

function lineDisplay(
  stream: NodeJS.WritableStream,
  what: string,
  left: Left,
  now: () => number,
): ProgressDisplay {
  let lastMs = now();
  return {
    update({ doneBytes, totalBytes }) {
      const rest = left({ doneBytes, totalBytes });
      if (now() - lastMs < plainIntervalMs) return;
      lastMs = now();
      const amount = `${mebibytes(doneBytes)} of ${mebibytes(totalBytes)} MiB`;
      stream.write(`${what}: ${amount}${rest && `, ${rest}`}\n`);
    },
    stop() {},
  };
}
