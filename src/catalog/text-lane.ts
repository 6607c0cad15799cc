import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import type { SentTextJob, TextJobType, TextResult } from './text-jobs.ts';
import { TextProcess } from './text-process.ts';

/** A job nobody waits for any more may still run this long, milliseconds: about what a new process takes to start. */
const abandonedMs = 500;
/**
 * A job that is not done after so long, milliseconds, keeps its process to itself, and the next one gets another: where
 * its checkpoint is read already, and where that, and perhaps the process's start, are part of it.
 */
const setAsideAfterMs = { read: 100, unread: 500 };
/** Most that waits, of all clients and of one. What is longer than that alone is taken when nothing else waits. */
const limits = {
  all: { texts: 16_384, characters: 2 ** 25 },
  client: { texts: 4096, characters: 2 ** 23 },
};
/** Seconds after which those who are refused may come back. */
const retrySeconds = { min: 1, max: 60 };

export interface TextLaneOptions {
  /** How long its process is kept without work. */
  idleMs: number;
  /** Jobs that may keep a process to themselves at a time; the rest wait for the one before them. */
  mostAside: number;
}

export interface TextTurn {
  /** Clients take turns. */
  client: string;
  /** Of the job's text. */
  characters: number;
  /** Takes the job out of the queue, or ends it soon. */
  signal: AbortSignal | null;
  /** Called when it leaves the queue to run. */
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
 * A process for texts and the jobs that wait for it. Clients take turns; jobs of one client begin in their order. A
 * process that dies, or does not finish in time, takes the job it had with it and no other: the next one gets a new
 * process.
 */
export class TextLane {
  /** By client, the one whose turn is next first. */
  readonly #queues = new Map<string, Waiting[]>();
  readonly #options: TextLaneOptions;
  /** Of late. */
  #msPerCharacter = 0.002;
  #process: TextProcess | null = null;
  /** Processes whose jobs take long. */
  readonly #aside = new Set<TextProcess>();
  #isWorking = false;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: TextLaneOptions) {
    this.#options = options;
  }

  /**
   * Resolves with what became of the job; rejects with the signal's reason once that aborts.
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

  /** Ends the process, and with it what runs and waits. */
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
        `${queue.length} texts with ${others} characters are waiting to be tokenized already.`,
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

  /** Resolves when the next job may begin. */
  async #perform(waiting: Waiting): Promise<void> {
    waiting.onStart();
    if (!this.#process?.isAlive) this.#process = new TextProcess();
    const process = this.#process;
    const longMs = process.hasRead(waiting.sent.source) ? setAsideAfterMs.read : setAsideAfterMs.unread;
    const done = this.#runOn(process, waiting);
    if (this.#aside.size >= this.#options.mostAside) return done;
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

  /** The next client's next job; the client goes to the end of the line. */
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
