import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type DestinationStream, type Logger, pino } from 'pino';

/** Logs JSON lines; redacts credentials wherever a request or response is logged. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: [
        'authorization',
        'headers.authorization',
        'headers["x-api-key"]',
        'req.headers.authorization',
        'req.headers["x-api-key"]',
        'req.headers.cookie',
      ],
      censor: '[redacted]',
    },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Maximum bytes of lines that wait while the log accepts none; further lines are dropped. */
const maxWaitingBytes = 2 ** 20;
const retryMs = 50;

export interface LogOutputListener {
  /** A line is lost. */
  dropped(): void;
  /** The log accepts lines again. @param lines number of lines lost meanwhile */
  recovered(lines: number): void;
}

/**
 * Writes log lines without ever waiting for their reader: an unread pipe or a full disk costs lines, not requests.
 * Lines that cannot be written wait, up to a limit, and are tried again.
 */
export class LogOutput implements DestinationStream {
  readonly #fd: number;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #retry: NodeJS.Timeout | null = null;
  #listener: LogOutputListener = { dropped: () => {}, recovered: () => {} };

  /** @param fd file descriptor, usually 1 */
  constructor(fd: number) {
    this.#fd = nonBlocking(fd);
  }

  watch(listener: LogOutputListener): void {
    this.#listener = listener;
  }

  write(line: string): void {
    this.#drain();
    const bytes = Buffer.from(line);
    if (this.#waiting.length > 0 && this.#waitingBytes + bytes.length > maxWaitingBytes) {
      this.#dropped += 1;
      this.#listener.dropped();
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#drain();
  }

  /** Tries for at most `withinMs` to write the waiting lines. */
  async flush(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    this.#drain();
    while (this.#waiting.length > 0 && performance.now() < until) {
      await delay(10);
      this.#drain();
    }
  }

  #drain(): void {
    for (;;) {
      const [line] = this.#waiting;
      if (!line) break;
      const written = this.#tryWrite(line);
      this.#waitingBytes -= written;
      if (written < line.length) {
        // The rest of a partly written line goes first next time, so that lines stay whole.
        this.#waiting[0] = line.subarray(written);
        this.#retry ??= setTimeout(() => this.#tryAgain(), retryMs).unref();
        return;
      }
      this.#waiting.shift();
    }
    if (this.#dropped === 0) return;
    const lines = this.#dropped;
    this.#dropped = 0;
    this.#listener.recovered(lines);
  }

  #tryAgain(): void {
    this.#retry = null;
    this.#drain();
  }

  /** @returns bytes written: 0 while the pipe or the disk is full, and on any other error */
  #tryWrite(bytes: Buffer): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch {
      return 0;
    }
  }
}

/** The same output, but a write that would have to wait fails with EAGAIN instead. */
function nonBlocking(fd: number): number {
  if (fstatSync(fd).isFile()) return fd;
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // A socket or another user's pipe cannot be opened again. Node makes the original non-blocking on first use.
    void process.stdout;
    return fd;
  }
}
