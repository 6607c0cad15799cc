import { createHash } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import { type Grammar, type GrammarAsker, GrammarError, type GrammarSource } from '../../sampling/grammar.ts';
import type { NativeGrammar } from '../native/native-addon.ts';
import { requireAddon } from './token-bytes.ts';
import { type Trial, Trials } from './trials.ts';

/** Milliseconds after which half of what a client has used is forgotten. */
const halfLifeMs = 120_000;
/** Less than this is as good as nothing. */
const forgottenMs = 1;

/** What clients have used lately of something they share, in milliseconds. */
class ClientUsage {
  readonly #clock: () => number;
  readonly #used = new Map<string, { ms: number; at: number }>();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  of(client: string): number {
    const used = this.#used.get(client);
    return used === undefined ? 0 : used.ms * 0.5 ** ((this.#clock() - used.at) / halfLifeMs);
  }

  add(client: string, ms: number): void {
    const total = this.of(client) + ms;
    // Moved to the end: those who have used nothing for longest come first.
    this.#used.delete(client);
    this.#used.set(client, { ms: total, at: this.#clock() });
    for (const other of this.#used.keys()) {
      if (this.of(other) >= forgottenMs) break;
      this.#used.delete(other);
    }
  }
}

/** Grammars compiled at once. */
const maxRunning = 2;
/** Clients who have used more than this lately share one of the two places. */
const lightMs = 200;
const maxWaitMs = 10_000;
const maxWaiting = 512;
const maxWaitingOfClient = 32;
/** Compiled grammars kept for those who ask for the same again. */
const maxKept = 64;
const maxKeptBytes = 32 * 2 ** 20;
const retryAfterSeconds = 5;

export type GrammarOutcome = 'compiled' | 'kept' | 'refused' | 'busy' | 'left';

interface GrammarObserver {
  /** @param seconds from the request for a grammar to its outcome */
  grammarEnded(model: string, outcome: GrammarOutcome, seconds: number): void;
  grammarsWaiting(count: number): void;
}

/** What compiles: replaced in tests. */
interface CompilerBackend {
  vocabularyNumber(model: string): number;
  try(model: string, source: GrammarSource): Trial;
  compile(model: string, source: GrammarSource): Promise<NativeGrammar>;
  close(): void;
}

interface Asker {
  client: string;
  answer: PromiseWithResolvers<Grammar>;
}

/** A source that is to be compiled, for all who ask for it. */
interface Work {
  key: string;
  model: string;
  source: GrammarSource;
  askers: Set<Asker>;
  /** null: waits for its turn. */
  running: { isLight: boolean; trial: Trial } | null;
}

const stopping = () =>
  new ServiceError('shutting_down', 'The service is stopping.', { retryAfterSeconds: 1 });
const busy = (message: string) => new ServiceError('compiler_busy', message, { retryAfterSeconds });

/** The addon's compiler, behind a trial in a process of its own. */
function nativeBackend(): CompilerBackend {
  const trials = new Trials();
  return {
    vocabularyNumber: (model) => requireAddon().vocabularyNumber(model),
    try: (model, source) => trials.try(model, source),
    compile: (model, source) => requireAddon().compileGrammar(model, source),
    close: () => trials.close(),
  };
}

/**
 * Compiles what clients send, at most two sources at once: the client who has used the least comes first. Each source
 * is tried in a process that may be killed; the service itself compiles only what ended there within its limits.
 */
export class GrammarCompiler {
  readonly #backend: CompilerBackend;
  readonly #observer: GrammarObserver;
  readonly #clock: () => number;
  readonly #onFault: (reason: string) => void;
  readonly #usage: ClientUsage;
  /** In the order they came. */
  readonly #works = new Map<string, Work>();
  /** Trials of works that nobody waits for any more still take a place until they have ended. */
  readonly #running = new Set<Work>();
  /** The least recently used first. */
  readonly #kept = new Map<string, NativeGrammar>();
  #keptBytes = 0;
  #isClosed = false;

  /** @param onFault is told why the process that tries grammars died */
  constructor(
    observer: GrammarObserver,
    clock: () => number,
    onFault: (reason: string) => void,
    backend: CompilerBackend = nativeBackend(),
  ) {
    this.#observer = observer;
    this.#clock = clock;
    this.#onFault = onFault;
    this.#backend = backend;
    this.#usage = new ClientUsage(clock);
  }

  /**
   * @param signal gives up: the source is compiled on only where others wait for it
   * @throws GrammarError for a source that cannot be compiled
   * @throws ServiceError `compiler_busy`, or `shutting_down` once this is closed
   */
  async compile(model: string, source: GrammarSource, { client, signal }: GrammarAsker): Promise<Grammar> {
    const startedAt = this.#clock();
    const ended = (outcome: GrammarOutcome) =>
      this.#observer.grammarEnded(model, outcome, (this.#clock() - startedAt) / 1000);
    const key = this.#keyOf(model, source);
    const kept = this.#find(key);
    if (kept) {
      ended('kept');
      return kept;
    }
    try {
      const grammar = await this.#ask({ key, model, source }, client, signal);
      ended('compiled');
      return grammar;
    } catch (error) {
      if (signal.aborted) ended('left');
      else ended(error instanceof GrammarError ? 'refused' : 'busy');
      throw error;
    }
  }

  /** Ends what runs; whoever waits is refused. */
  close(): void {
    this.#isClosed = true;
    this.#backend.close();
    for (const work of this.#works.values()) this.#refuse(work, stopping());
  }

  #keyOf(model: string, source: GrammarSource): string {
    const parts = JSON.stringify([model, this.#backend.vocabularyNumber(model), source]);
    return createHash('sha256').update(parts).digest('base64');
  }

  async #ask(
    wanted: Pick<Work, 'key' | 'model' | 'source'>,
    client: string,
    signal: AbortSignal,
  ): Promise<Grammar> {
    signal.throwIfAborted();
    this.#checkRoom(client);
    const work = this.#works.get(wanted.key) ?? { ...wanted, askers: new Set(), running: null };
    const answer = Promise.withResolvers<Grammar>();
    const asker = { client, answer };
    const leave = (reason: unknown) => {
      work.askers.delete(asker);
      answer.reject(reason);
      if (work.askers.size === 0) this.#drop(work);
      this.#tell();
    };
    const onAbort = () => leave(signal.reason);
    const onLate = () => {
      if (!work.running) leave(busy(`The grammar waited ${maxWaitMs / 1000} s for others to be compiled.`));
    };
    const timer = setTimeout(onLate, maxWaitMs);
    signal.addEventListener('abort', onAbort);
    work.askers.add(asker);
    this.#works.set(work.key, work);
    this.#startNext();
    this.#tell();
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  #checkRoom(client: string): void {
    if (this.#isClosed) throw stopping();
    let [all, own] = [0, 0];
    for (const { askers } of this.#works.values()) {
      all += askers.size;
      for (const asker of askers) if (asker.client === client) own += 1;
    }
    if (own < maxWaitingOfClient && all < maxWaiting) return;
    throw busy(`${own < maxWaitingOfClient ? all : own} grammars are waiting to be compiled already.`);
  }

  #startNext(): void {
    for (;;) {
      const next = this.#running.size < maxRunning && !this.#isClosed ? this.#next() : null;
      if (next === null) return;
      const running = {
        isLight: this.#usedBy(next) <= lightMs,
        trial: this.#backend.try(next.model, next.source),
      };
      next.running = running;
      this.#running.add(next);
      void this.#run(next, running.trial);
    }
  }

  /** Of those whose client has used the least, the one that came first. */
  #next(): Work | null {
    const isHeavyRunning = [...this.#running].some(({ running }) => !running!.isLight);
    let [best, least] = [null as Work | null, isHeavyRunning ? lightMs : Number.POSITIVE_INFINITY];
    for (const work of this.#works.values()) {
      const used = this.#usedBy(work);
      if (work.running === null && (used < least || (best === null && used <= least)))
        [best, least] = [work, used];
    }
    return best;
  }

  #usedBy({ askers }: Work): number {
    return Math.min(...[...askers].map(({ client }) => this.#usage.of(client)));
  }

  async #run(work: Work, trial: Trial): Promise<void> {
    const clients = new Set([...work.askers].map(({ client }) => client));
    const startedAt = this.#clock();
    // What a process that died has taken: all the time since.
    let used: number | null = null;
    try {
      const { outcome, reason, ms } = await trial.verdict;
      used = outcome === 'fit' ? 2 * ms : ms;
      if (outcome === 'refused') this.#refuse(work, new GrammarError(reason));
      else if (outcome === 'late')
        this.#refuse(work, busy('The service is too busy to compile the grammar.'));
      else if (outcome === 'fit' && work.askers.size > 0) {
        const grammar = await this.#backend.compile(work.model, work.source);
        this.#keep(work.key, grammar);
        for (const { answer } of work.askers) answer.resolve(grammar);
      }
    } catch (error) {
      const { message } = error as Error;
      if (!this.#isClosed) this.#onFault(message);
      this.#refuse(work, busy('The grammar could not be compiled this time.'));
    } finally {
      for (const client of clients) this.#usage.add(client, used ?? this.#clock() - startedAt);
      this.#running.delete(work);
      if (this.#works.get(work.key) === work) this.#works.delete(work.key);
      this.#startNext();
      this.#tell();
    }
  }

  #refuse(work: Work, error: Error): void {
    for (const { answer } of work.askers) answer.reject(error);
  }

  #drop(work: Work): void {
    if (this.#works.get(work.key) === work) this.#works.delete(work.key);
    work.running?.trial.end();
  }

  #tell(): void {
    const waiting = [...this.#works.values()].filter(({ running }) => running === null);
    this.#observer.grammarsWaiting(waiting.length);
  }

  #find(key: string): NativeGrammar | undefined {
    const grammar = this.#kept.get(key);
    if (grammar) {
      this.#kept.delete(key);
      this.#kept.set(key, grammar);
    }
    return grammar;
  }

  #keep(key: string, grammar: NativeGrammar): void {
    this.#kept.set(key, grammar);
    this.#keptBytes += grammar.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#kept.size <= maxKept && this.#keptBytes <= maxKeptBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes;
    }
  }
}
