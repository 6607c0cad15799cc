import { createHash } from 'node:crypto';
import { ServiceError } from '../../errors.ts';
import { type Grammar, type GrammarAsker, GrammarError, type GrammarSource } from '../../sampling/grammar.ts';
import type { NativeGrammar } from '../native/native-addon.ts';
import { requireAddon } from './token-bytes.ts';
import { type Trial, Trials } from './trials.ts';

/** Half-life of a client's recorded usage, in milliseconds. */
const halfLifeMs = 120_000;
/** Usage below this is forgotten. */
const forgottenMs = 1;

/** Recent usage of a shared resource by each client, in milliseconds. */
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
    // Moved to the end, so that the clients idle for longest come first.
    this.#used.delete(client);
    this.#used.set(client, { ms: total, at: this.#clock() });
    for (const other of this.#used.keys()) {
      if (this.of(other) >= forgottenMs) break;
      this.#used.delete(other);
    }
  }
}

/** Maximum grammars compiled at the same time. */
const maxRunning = 2;
/** Clients with more recent usage than this share one of the two places. */
const lightMs = 200;
const maxWaitMs = 10_000;
const maxWaiting = 512;
const maxWaitingOfClient = 32;
/** Maximum compiled grammars kept for repeated requests. */
const maxKept = 64;
const maxKeptBytes = 32 * 2 ** 20;
const retryAfterSeconds = 5;

export type GrammarOutcome = 'compiled' | 'kept' | 'refused' | 'busy' | 'left';

interface GrammarObserver {
  /** @param seconds from the request for a grammar to its outcome */
  grammarEnded(model: string, outcome: GrammarOutcome, seconds: number): void;
  grammarsWaiting(count: number): void;
}

/** Compiles grammars; tests replace it. */
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

/** A source to compile, shared by everyone who asks for it. */
interface Work {
  key: string;
  model: string;
  source: GrammarSource;
  askers: Set<Asker>;
  /** null while it waits for its turn. */
  running: { isLight: boolean; trial: Trial } | null;
}

interface Kept {
  model: string;
  grammar: NativeGrammar;
}

const stopping = () =>
  new ServiceError('shutting_down', 'The service is stopping.', { retryAfterSeconds: 1 });
const busy = (message: string) => new ServiceError('compiler_busy', message, { retryAfterSeconds });

/** The addon's compiler, with trials in a separate process. */
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
 * Compiles grammars that clients send, at most two at a time; the client with the lowest recent usage comes first. A
 * separate process, which can be killed, tries each source; the service compiles only sources that stayed within the
 * limits there.
 */
export class GrammarCompiler {
  readonly #backend: CompilerBackend;
  readonly #observer: GrammarObserver;
  readonly #clock: () => number;
  readonly #onFault: (reason: string) => void;
  readonly #usage: ClientUsage;
  /** In order of arrival. */
  readonly #works = new Map<string, Work>();
  /** A trial takes a place until it ends, even when nobody waits for it any more. */
  readonly #running = new Set<Work>();
  /** Least recently used first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  #isClosed = false;

  /** @param onFault receives the reason when a trial or compilation breaks, for example when the process died */
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
   * @param signal cancels the wait; compilation goes on only if others wait for the same source
   * @throws GrammarError for a source that cannot be compiled
   * @throws ServiceError `compiler_busy`, or `shutting_down` after close()
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

  /** Frees the grammars of a model that is unloaded, and with them its vocabulary. */
  forget(model: string): void {
    for (const [key, kept] of this.#kept) {
      if (kept.model !== model) continue;
      this.#kept.delete(key);
      this.#keptBytes -= kept.grammar.bytes;
    }
  }

  /** Ends the running trials and rejects everyone who waits. */
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
    throw busy(`${own < maxWaitingOfClient ? all : own} grammars are already waiting to be compiled.`);
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

  /** The oldest waiting work of the client with the lowest recent usage. */
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
    // Stays null if the process died: then all time since the start counts.
    let used: number | null = null;
    try {
      const { outcome, reason, ms } = await trial.verdict;
      used = outcome === 'fit' ? 2 * ms : ms;
      if (outcome === 'refused') this.#refuse(work, new GrammarError(reason));
      else if (outcome === 'late')
        this.#refuse(work, busy('The service is too busy to compile the grammar.'));
      else if (outcome === 'fit' && work.askers.size > 0) {
        const grammar = await this.#backend.compile(work.model, work.source);
        this.#keep(work.key, { model: work.model, grammar });
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
    const kept = this.#kept.get(key);
    if (kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
    }
    return kept?.grammar;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    this.#keptBytes += kept.grammar.bytes;
    for (const [oldest, { grammar }] of this.#kept) {
      if (this.#kept.size <= maxKept && this.#keptBytes <= maxKeptBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= grammar.bytes;
    }
  }
}
