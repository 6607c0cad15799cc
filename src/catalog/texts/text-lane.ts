import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../../errors.ts';
import type { SentTextJob, TextFailure, TextJobType, TextResult, TextSource } from './text-jobs.ts';

/** Maximum milliseconds of a job that nobody waits for any more: about what a new process takes to start. */
const abandonedMs = 500;
/**
 * A job that runs longer than this, in milliseconds, keeps its process, and the next job gets another one. `read`: the
 * process has read the checkpoint before; `unread`: the time includes reading it, and perhaps starting the process.
 */
const setAsideAfterMs = { read: 100, unread: 500 };
/** Maximum waiting work, of all clients and of one. A longer text is accepted if nothing else waits. */
const limits = {
  all: { texts: 16_384, characters: 2 ** 25 },
  client: { texts: 4096, characters: 2 ** 23 },
};
/** Minimum and maximum seconds until a refused client may retry. */
const retrySeconds = { min: 1, max: 60 };

interface TextLaneOptions {
  /** How long its process is kept without work, in milliseconds. */
  idleMs: number;
  /** Maximum jobs that keep a process to themselves at a time; further jobs wait for the one before them. */
  maxAside: number;
}

interface TextTurn {
  /** Clients take turns. */
  client: string;
  /** Length of the job's text. */
  characters: number;
  /** An abort removes the job from the queue, or ends it soon if it runs. */
  signal: AbortSignal | null;
  /** Called when the job leaves the queue to run. */
  onStart(): void;
}

interface Waiting extends TextTurn {
  readonly sent: SentTextJob;
  readonly result: PromiseWithResolvers<TextResult>;
}

const charactersOf = (queue: readonly Waiting[]) =>
  queue.reduce((sum, { characters }) => sum + characters, 0);

const closed = { failure: { reason: 'closed', message: 'The service is about to stop.' } } as const;

/**
 * A text process and the jobs that wait for it. Clients take turns; jobs of one client start in order. If a process
 * dies or does not finish in time, only its current job fails: the next one gets a new process.
 */
export class TextLane {
  /** By client; the client with the next turn comes first. */
  readonly #queues = new Map<string, Waiting[]>();
  readonly #options: TextLaneOptions;
  /** Moving average. */
  #msPerCharacter = 0.002;
  #process: TextProcess | null = null;
  /** Processes with jobs that take long. */
  readonly #aside = new Set<TextProcess>();
  #isWorking = false;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: TextLaneOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the job's result; rejects with the signal's reason when it aborts.
   * @throws ServiceError `queue_full`
   */
  async run<T extends TextJobType>(sent: SentTextJob<T>, turn: TextTurn): Promise<TextResult<T>> {
    const { signal } = turn;
    signal?.throwIfAborted();
    if (this.#isClosed) return closed;
    const waiting: Waiting = { ...turn, sent: sent as SentTextJob, result: Promise.withResolvers() };
    this.#enter(waiting);
    const leave = () => this.#leave(waiting);
    signal?.addEventListener('abort', leave, { once: true });
    void this.#work();
    try {
      return (await waiting.result.promise) as TextResult<T>;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  /** Frees a checkpoint's tokenizer; the next job for it reads it again. */
  forget(source: TextSource): void {
    for (const process of [this.#process, ...this.#aside]) process?.forget(source);
  }

  /** Takes over the process of a lane without work, unless it has one. @returns whether it did */
  adopt(other: TextLane): boolean {
    if (this.#isClosed || this.#process?.isAlive || !other.#process?.isAlive) return false;
    this.#process = other.#process;
    other.#process = null;
    return true;
  }

  /** Ends the processes and all running and waiting jobs. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    for (const { result } of [...this.#queues.values()].flat()) result.resolve(closed);
    this.#queues.clear();
    for (const process of [this.#process, ...this.#aside]) process?.end('closed', closed.failure.message);
  }

  #enter(waiting: Waiting): void {
    const { client, characters } = waiting;
    const own = this.#queues.get(client) ?? [];
    const all = [...this.#queues.values()].flat();
    for (const [queue, limit] of [
      [own, limits.client],
      [all, limits.all],
    ] as const) {
      const others = charactersOf(queue);
      if (queue.length === 0 || (queue.length < limit.texts && others + characters <= limit.characters))
        continue;
      const seconds = (others * this.#msPerCharacter) / 1000;
      throw new ServiceError(
        'queue_full',
        `${queue.length} texts with ${others} characters are already waiting to be tokenized.`,
        { retryAfterSeconds: Math.min(retrySeconds.max, Math.max(retrySeconds.min, seconds)) },
      );
    }
    own.push(waiting);
    this.#queues.set(client, own);
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    clearTimeout(this.#idle);
    for (let next = this.#take(); next !== null; next = this.#take()) await this.#perform(next);
    this.#isWorking = false;
    const { idleMs } = this.#options;
    if (idleMs === Number.POSITIVE_INFINITY) return;
    this.#idle = setTimeout(() => this.#process?.end('closed', 'it had no work'), idleMs).unref();
  }

  /** Resolves when the next job may start. */
  async #perform(waiting: Waiting): Promise<void> {
    waiting.onStart();
    if (!this.#process?.isAlive) this.#process = new TextProcess();
    const process = this.#process;
    const longMs = process.hasRead(waiting.sent.source) ? setAsideAfterMs.read : setAsideAfterMs.unread;
    const done = this.#runOn(process, waiting);
    if (this.#aside.size >= this.#options.maxAside) return done;
    const late = new AbortController();
    await Promise.race([done.finally(() => late.abort()), sleep(longMs, null, late).catch(() => {})]);
    if (late.signal.aborted) return;
    this.#aside.add(process);
    this.#process = null;
    void done.then(() => {
      this.#aside.delete(process);
      if (this.#process?.isAlive) process.end('closed', 'another has taken its place');
      else this.#process = process;
    });
  }

  async #runOn(process: TextProcess, { sent, characters, signal, result }: Waiting): Promise<void> {
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const abandon = () => {
      const leftMs = abandonedMs - (performance.now() - startedAt);
      timer = setTimeout(() => process.end('other', 'nobody waits for it'), leftMs);
    };
    signal?.addEventListener('abort', abandon, { once: true });
    result.resolve(await process.perform(sent));
    signal?.removeEventListener('abort', abandon);
    clearTimeout(timer);
    const msPerCharacter = (performance.now() - startedAt) / Math.max(1, characters);
    this.#msPerCharacter += (msPerCharacter - this.#msPerCharacter) / 8;
  }

  /** Takes the next client's next job; the client goes to the end of the line. */
  #take(): Waiting | null {
    for (const [client, queue] of this.#queues) {
      const next = queue.shift()!;
      this.#queues.delete(client);
      if (queue.length > 0) this.#queues.set(client, queue);
      return next;
    }
    return null;
  }

  #leave(waiting: Waiting): void {
    const { client, signal, result } = waiting;
    const others = this.#queues.get(client)?.filter((other) => other !== waiting) ?? [];
    if (others.length > 0) this.#queues.set(client, others);
    else this.#queues.delete(client);
    result.reject(signal!.reason);
  }
}

/** The process enforces a job's limits itself; this many milliseconds later, the service kills it. */
const graceMs = 1000;
/** Maximum heap of a process in megabytes: an eighth of the free memory, within these bounds. Up to six may run. */
const heapMegabytes = { min: 256, max: 1024 };
/** The only environment variables that a process inherits, because the environment holds secrets. */
const inherited = ['LD_LIBRARY_PATH', 'TZ'];

/** A process that runs code from checkpoints (text-worker.ts), one job at a time. It ends with the service. */
class TextProcess {
  /** null: it could not be started. */
  readonly #child: ChildProcess | null;
  #result: PromiseWithResolvers<TextResult> | null = null;
  readonly #readings = new Set<number>();
  /** Why the process ended or is about to; null while it is alive. */
  #end: TextFailure | null = null;

  constructor() {
    try {
      this.#child = this.#start();
    } catch (error) {
      this.#child = null;
      this.#end = { reason: 'other', message: (error as Error).message };
    }
  }

  #start(): ChildProcess {
    const free = process.availableMemory() / 2 ** 20 / 8;
    const heap = Math.floor(Math.min(heapMegabytes.max, Math.max(heapMegabytes.min, free)));
    const child = fork(new URL('./text-worker.ts', import.meta.url), [], {
      serialization: 'advanced',
      // Only its results matter, not V8's long report when it runs out of memory.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [`--max-old-space-size=${heap}`, '--v8-pool-size=1'],
      env: Object.fromEntries(
        inherited.flatMap((name) => {
          const value = process.env[name];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    });
    child.unref();
    child.channel?.unref();
    child.on('message', (result: TextResult) => this.#settle(result));
    child.on('error', ({ message }) => this.#ended({ reason: 'other', message }));
    child.on('exit', (code, signal) => {
      const message = `the process ended with ${signal ?? code}`;
      // V8 aborts when an allocation fails; the kernel kills the process when no memory is left.
      this.#ended({ reason: signal === null ? 'other' : 'memory', message });
    });
    return child;
  }

  get isAlive(): boolean {
    return this.#end === null;
  }

  /** Whether it has run a job of this reading; it may have evicted the files since. */
  hasRead({ reading }: TextSource): boolean {
    return this.#readings.has(reading);
  }

  async perform(sent: SentTextJob): Promise<TextResult> {
    // Without a free file descriptor, Node makes a child without a channel, and reports the error later.
    if (!this.#child?.connected) this.#ended({ reason: 'other', message: 'it could not be started' });
    if (this.#end !== null) return { failure: this.#end };
    this.#result = Promise.withResolvers();
    const { promise } = this.#result;
    const withinMs = sent.loadMs + sent.jobMs + graceMs;
    const timer = setTimeout(() => this.end('time', 'one of its steps could not be interrupted'), withinMs);
    this.#child!.send(sent, (error) => {
      if (error) this.end('other', error.message);
    });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#readings.add(sent.source.reading);
    });
  }

  forget({ checkpoint, reading }: TextSource): void {
    this.#readings.delete(reading);
    // A process that has ended has nothing to forget.
    if (this.isAlive && this.#child?.connected) this.#child.send({ forget: checkpoint }, () => {});
  }

  /** Kills the process. */
  end(reason: TextFailure['reason'], message: string): void {
    this.#ended({ reason, message });
    this.#child?.kill('SIGKILL');
  }

  #ended(failure: TextFailure): void {
    this.#end ??= failure;
    this.#settle({ failure: this.#end });
  }

  #settle(result: TextResult): void {
    this.#result?.resolve(result);
    this.#result = null;
  }
}
