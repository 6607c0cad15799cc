import { type ChildProcess, fork } from 'node:child_process';
import type { GrammarSource } from '../../sampling/grammar.ts';
import type { NativeVerdict } from '../native/native-addon.ts';
import { requireAddon } from './token-bytes.ts';
import type { TrialOrder, TrialReport } from './trial-process.ts';

/** If a trial has no answer after this long, the process itself hangs. A large vocabulary takes a few seconds. */
const maxAnswerMs = 60_000;

export interface Trial {
  /** Rejects when the process dies or the trial fails. */
  verdict: Promise<NativeVerdict>;
  /** Ends the trial early, with the verdict `ended`. */
  end(): void;
}

/** The process that tries grammars before the service compiles them. It starts with the first trial. */
export class Trials {
  #process: ChildProcess | null = null;
  /** By model: number of the vocabulary that the process has. */
  readonly #vocabularies = new Map<string, number>();
  readonly #open = new Map<number, PromiseWithResolvers<NativeVerdict>>();
  #count = 0;

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  try(model: string, source: GrammarSource): Trial {
    this.#process ??= this.#start();
    const child = this.#process;
    // Without a free file descriptor, Node makes a child without a channel, and reports the error later.
    if (!child?.connected) {
      this.close();
      const problem = new Error('the process that tries grammars could not be started');
      return { verdict: Promise.reject(problem), end: () => {} };
    }
    this.#sendVocabulary(model);
    const number = this.#count++;
    const answer = Promise.withResolvers<NativeVerdict>();
    this.#open.set(number, answer);
    child.ref();
    child.channel?.ref();
    this.#send({ type: 'try', number, model, source });
    const timer = setTimeout(() => this.close(), maxAnswerMs);
    const verdict = answer.promise.finally(() => clearTimeout(timer));
    return { verdict, end: () => this.#open.has(number) && this.#send({ type: 'end', number }) };
  }

  /** Ends the process and its trials. */
  close(): void {
    this.#process?.kill('SIGKILL');
    this.#ended('the process that tries grammars was ended');
  }

  /** @returns null if the system has no process for it */
  #start(): ChildProcess | null {
    const { PATH, LD_LIBRARY_PATH } = process.env;
    let child: ChildProcess;
    try {
      child = fork(new URL('./trial-process.ts', import.meta.url), {
        // The process gets no secrets of the service and none of its Node flags.
        env: { PATH, LD_LIBRARY_PATH },
        execArgv: [],
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
    } catch {
      return null;
    }
    child.on('message', (report: TrialReport) => this.#take(report));
    const end = (reason: string) => {
      if (this.#process === child) this.#ended(reason);
    };
    child.on('error', ({ message }) => end(message));
    child.on('exit', (code, signal) =>
      end(`the process that tries grammars ended with ${signal ?? `code ${code}`}`),
    );
    return child;
  }

  #sendVocabulary(model: string): void {
    const addon = requireAddon();
    const number = addon.vocabularyNumber(model);
    if (this.#vocabularies.get(model) === number) return;
    this.#send({ type: 'vocabulary', model, tokens: addon.keptTokenBytes(model) });
    this.#vocabularies.set(model, number);
  }

  #send(order: TrialOrder): void {
    // Errors are ignored: the exit event reports a dead process.
    this.#process?.send(order, () => {});
  }

  #take(report: TrialReport): void {
    const answer = this.#open.get(report.number);
    this.#open.delete(report.number);
    if (this.#open.size === 0) this.#rest();
    if ('verdict' in report) answer?.resolve(report.verdict);
    else answer?.reject(new Error(report.error));
  }

  /** Lets the service exit while no trial runs. */
  #rest(): void {
    this.#process?.unref();
    this.#process?.channel?.unref();
  }

  #ended(reason: string): void {
    this.#process = null;
    this.#vocabularies.clear();
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { reject } of open) reject(new Error(reason));
  }
}
