import { SingleBar } from 'cli-progress';
import { describeLoad } from '../plan/plan.ts';
import type { RunObserver } from '../run-plan.ts';

type Output = NodeJS.WritableStream & { isTTY?: boolean };

export interface ProgressLine extends RunObserver {
  /** Restores the terminal; call it after an error too. */
  stop(): void;
}

const tickMs = 250;
/** Interval without a terminal. */
const plainIntervalMs = 5000;

/** Progress of a load test: a bar on a terminal, otherwise a line every few seconds. */
export function progressLine(stream: Output): ProgressLine {
  let name = '';
  let answered = 0;
  let failed = 0;
  let beganAt = 0;
  let expected: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  const elapsed = () => (performance.now() - beganAt) / 1000;
  const time = () => `${Math.round(elapsed())}${expected === null ? '' : `/${Math.round(expected)}`} s`;
  const line = () => `${name}: ${time()}, ${answered} answered, ${failed} failed`;
  const bar = stream.isTTY
    ? new SingleBar({
        stream,
        format: '{name} [{bar}] {time}, {answered} answered, {failed} failed',
        barsize: 20,
        clearOnComplete: true,
        hideCursor: true,
      })
    : null;
  const draw = () => {
    const share = expected === null ? 0 : Math.min(1, elapsed() / expected);
    if (bar) bar.update(share, { name, time: time(), answered, failed });
    else stream.write(`${line()}\n`);
  };
  const stop = () => {
    clearInterval(timer);
    bar?.stop();
  };
  return {
    warmingUp: ({ label }) => {
      if (!bar) stream.write(`warming up ${label}\n`);
    },
    stageBegan(targets, load, seconds) {
      name = `${targets.map(({ label }) => label).join(', ')} at ${describeLoad(load)}`;
      answered = 0;
      failed = 0;
      beganAt = performance.now();
      expected = seconds;
      bar?.start(1, 0, { name, time: time(), answered, failed });
      timer = setInterval(draw, bar ? tickMs : plainIntervalMs);
    },
    requestEnded({ failure }) {
      if (failure === null) answered += 1;
      else failed += 1;
    },
    stageEnded() {
      stop();
      stream.write(`${line()}\n`);
    },
    stop,
  };
}
