import type { Segment, Session } from '../../runtime/session.ts';
import type { Clock } from '../protocol/clock.ts';
import type { StepReport } from '../protocol/messages.ts';
import type { StepTimes } from '../scheduler/step-times.ts';

type Spent = Pick<StepReport, 'prefillMs' | 'decodeMs'>;

/** Measures a session's calls: for the reports of steps, and for the sizes of later chunks. */
export class TimedSession {
  readonly #session: Session;
  readonly #times: StepTimes;
  readonly #clock: Clock;
  #spent: Spent = { prefillMs: null, decodeMs: null };
  #spentMs = 0;

  constructor(session: Session, times: StepTimes, clock: Clock) {
    this.#session = session;
    this.#times = times;
    this.#clock = clock;
  }

  async encode(...call: Parameters<Session['encode']>): Promise<void> {
    const [, tokens] = call;
    await this.#measure(
      'prefillMs',
      () => this.#session.encode(...call),
      (ms) => this.#times.prefilled(tokens.length, ms),
    );
  }

  embed(...call: Parameters<Session['embed']>): ReturnType<Session['embed']> {
    const [tokens] = call;
    return this.#measure(
      'prefillMs',
      () => this.#session.embed(...call),
      (ms) => this.#times.prefilled(tokens.length, ms),
    );
  }

  prefill(...call: Parameters<Session['prefill']>): ReturnType<Session['prefill']> {
    const [, tokens, , , scoring] = call;
    return this.#measure(
      'prefillMs',
      () => this.#session.prefill(...call),
      (ms) => {
        // Scored tokens take longer, and the time does not decide about their chunks.
        if (!scoring) this.#times.prefilled(tokens.length, ms);
      },
    );
  }

  decode(...call: Parameters<Session['decode']>): ReturnType<Session['decode']> {
    const [rows] = call;
    return this.#measure(
      'decodeMs',
      () => this.#session.decode(...call),
      (ms) => this.#times.decoded(rows.length, ms),
    );
  }

  /** @returns the choices of `prompts`, then of `rows`, which count as rows with each token of their guesses */
  async pack(prompts: readonly Segment[], rows: readonly Segment[]): ReturnType<Session['pack']> {
    const run = { rows: tokensOf(rows), tokens: tokensOf(prompts) };
    const compute = () => this.#session.pack([...prompts, ...rows]);
    if (prompts.length === 0) {
      return this.#measure('decodeMs', compute, (ms) => this.#times.decoded(run.rows, ms));
    }
    let decodeMs = 0;
    const choices = await this.#measure('prefillMs', compute, (ms) => {
      decodeMs = this.#times.decodePart(run, ms);
      this.#times.packed(run, ms);
    });
    if (rows.length > 0) this.#move(decodeMs);
    return choices;
  }

  /** Expected milliseconds of a run over so many tokens of prompts and rows. */
  runMs(tokens: number): number {
    return this.#times.runMs(tokens);
  }

  /** Expected milliseconds of a decode step; 0 if none was measured. */
  decodeMs(rows: number): number {
    return this.#times.decodeMs(rows);
  }

  /** Expected milliseconds to compute `tokens` of prompts; 0 if none was measured. */
  prefillMs(tokens: number): number {
    return this.#times.prefillMs(tokens);
  }

  /** Rows with guesses, padded to the longest, take about as long as a batch of as many rows as tokens. */
  verify(...call: Parameters<Session['verify']>): ReturnType<Session['verify']> {
    const [segments] = call;
    const longest = Math.max(...segments.map(({ tokens }) => tokens.length));
    return this.#measure(
      'decodeMs',
      () => this.#session.verify(...call),
      (ms) => this.#times.decoded(segments.length * longest, ms),
    );
  }

  /** Milliseconds in the session since it was opened. */
  get spentMs(): number {
    return this.#spentMs;
  }

  /** Milliseconds in the session since the last call of this function. */
  takeSpent(): Spent {
    const spent = this.#spent;
    this.#spent = { prefillMs: null, decodeMs: null };
    return spent;
  }

  /** Counts time of prompts as time of decode rows. */
  #move(ms: number): void {
    const { prefillMs, decodeMs } = this.#spent;
    this.#spent = { prefillMs: (prefillMs ?? 0) - ms, decodeMs: (decodeMs ?? 0) + ms };
  }

  /** @param onTime receives the milliseconds of a call that succeeds */
  async #measure<T>(phase: keyof Spent, run: () => Promise<T>, onTime: (ms: number) => void): Promise<T> {
    const startedAt = this.#clock();
    const elapsed = () => this.#clock() - startedAt;
    try {
      const result = await run();
      onTime(elapsed());
      return result;
    } finally {
      const ms = elapsed();
      this.#spent[phase] = (this.#spent[phase] ?? 0) + ms;
      this.#spentMs += ms;
    }
  }
}

const tokensOf = (segments: readonly Segment[]) =>
  segments.reduce((sum, { tokens }) => sum + tokens.length, 0);
