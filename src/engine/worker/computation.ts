import type { Choice, DecodeRow, Segment, Session } from '../../runtime/session.ts';
import type { SampledToken } from '../../sampling/sampled-token.ts';
import { SamplingError } from '../../sampling/sampling-error.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { PrefillChunk, StepPlan } from '../scheduler/step-plan.ts';
import type { Completion, CompletionModel, OpenCompletions } from './completion.ts';
import type { TimedSession } from './timed-session.ts';

export interface ComputationParts {
  session: Session;
  timed: TimedSession;
  /** Decoder positions of a slot. */
  capacity: number;
  scheduler: Scheduler;
  completions: OpenCompletions;
  model: CompletionModel;
  /** Guess the next tokens of sequences. */
  guesses: boolean;
}

/** Maximum logits a session computes at once for a scored prompt, or for rows and guesses: 32 MiB. */
const maxLogits = 2 ** 23;
/** Guesses make a run of several sequences at most this many times as long, because the others wait for it. */
const maxGuessStretch = 1.5;

/** Carries out what a step's plan computes, and hands the chosen tokens to their completions. */
export class Computation {
  readonly #session: Session;
  readonly #timed: TimedSession;
  readonly #capacity: number;
  readonly #scheduler: Scheduler;
  readonly #completions: OpenCompletions;
  readonly #model: CompletionModel;
  readonly #guesses: boolean;

  constructor({ session, timed, capacity, scheduler, completions, model, guesses }: ComputationParts) {
    this.#session = session;
    this.#timed = timed;
    this.#capacity = capacity;
    this.#scheduler = scheduler;
    this.#completions = completions;
    this.#model = model;
    this.#guesses = guesses;
  }

  async run({ encodes, chunks, rows }: StepPlan): Promise<void> {
    for (const { id, slot } of encodes) {
      await this.#attempt(id, async (completion) => {
        await this.#timed.encode(slot, completion.request.promptTokens);
        this.encoded(completion);
      });
    }
    if (this.#session.packs) {
      const [scored, others] = [true, false].map((is) =>
        chunks.filter(({ id }) => this.#isScored(id) === is),
      );
      for (const chunk of scored!) await this.#prefill(chunk);
      await this.#pack(others!, rows);
      return;
    }
    for (const chunk of chunks) await this.#prefill(chunk);
    if (rows.length !== 1 || !(await this.#verify(rows[0]!))) await this.#decode(rows);
  }

  /** Without a completion prefix the decoder has nothing to prefill. */
  encoded(completion: Completion): void {
    if (completion.request.completionPrefix.length === 0) this.#completions.prefilled(completion);
  }

  #isScored(id: string): boolean {
    return this.#completions.get(id)?.request.promptLogprobs !== null;
  }

  async #attempt(id: string, run: (completion: Completion) => Promise<void>): Promise<void> {
    const completion = this.#completions.get(id);
    if (!completion) return;
    try {
      await run(completion);
    } catch (error) {
      this.#completions.breakDown([id], error);
    }
  }

  /** Computes a chunk, in pieces if its tokens are scored. */
  async #prefill(chunk: PrefillChunk): Promise<void> {
    await this.#attempt(chunk.id, async (completion) => {
      const { slot, start, end, isLast } = chunk;
      const { id, promptLogprobs: alternatives } = completion.request;
      const { given } = completion;
      const startsWithPrompt = this.#model.decoderStart === null;
      const scoredAtOnce = Math.max(1, Math.floor(maxLogits / this.#session.vocabSize));
      const atOnce = alternatives === null ? end - start : scoredAtOnce;
      let last: SampledToken | null = null;
      for (let from = start; from < end; from += atOnce) {
        const to = Math.min(end, from + atOnce);
        const chosenBy = isLast && to === end ? samplingBehindPrompt(completion) : null;
        const scoring =
          alternatives === null ? undefined : { followers: given.slice(from + 1, to + 1), alternatives };
        const tokens = given.slice(from, to);
        const { sampled, scores } = await this.#timed.prefill(slot, tokens, from, chosenBy, scoring);
        if (scoring) this.#completions.score(id, from === 0 && startsWithPrompt ? [null, ...scores] : scores);
        last = sampled;
      }
      this.#prefilled(completion, chunk, last);
    });
  }

  /** @param sampled the first generated token; null if the request asks for none */
  #prefilled(completion: Completion, { isLast, end }: PrefillChunk, sampled: SampledToken | null): void {
    if (!isLast) return;
    this.#completions.prefilled(completion);
    if (sampled === null) this.#completions.finishEmpty(completion);
    else this.#advance(completion, sampled, end);
  }

  /** Computes chunks of prompts, decode rows, and guesses of what follows these, in one run. */
  async #pack(chunks: readonly PrefillChunk[], rows: StepPlan['rows']): Promise<void> {
    const prompts = chunks.flatMap((chunk) => {
      const completion = this.#completions.get(chunk.id);
      return completion ? [{ chunk, completion }] : [];
    });
    const batch = this.#batch(rows);
    const guesses = this.#chooseGuesses(rows, chunks);
    const isGuessing = guesses.some(({ length }) => length > 0);
    if (!isGuessing && (prompts.length === 0 || prompts.length + rows.length === 1)) {
      await this.#apart(chunks, rows);
      return;
    }
    const given = prompts.map(({ chunk: { slot, start, end, isLast }, completion }): Segment => {
      const sampling = isLast ? samplingBehindPrompt(completion) : null;
      return { slot, tokens: completion.given.slice(start, end), past: start, guessed: 0, sampling };
    });
    const decoded = batch.map(({ token, past, sampling }, slot): Segment => {
      const guess = guesses[slot]!;
      return { slot, tokens: [token, ...guess], past, guessed: guess.length, sampling };
    });
    let choices: Choice[][];
    try {
      choices = await this.#timed.pack(given, decoded);
    } catch (error) {
      this.#completions.breakDown([], error);
      // So that a prompt that makes the run fail takes nobody along.
      await this.#apart(chunks, rows);
      return;
    }
    for (const [i, { chunk, completion }] of prompts.entries()) {
      const [choice = null] = choices[i]!;
      if (choice === 'late') this.#completions.breakDown([chunk.id], new Error('a grammar that begins late'));
      else if (choice instanceof SamplingError) this.#completions.breakDown([chunk.id], choice);
      else this.#prefilled(completion, chunk, choice);
    }
    for (const [row, own] of rows.entries()) {
      this.#accept(own, choices[prompts.length + row]!, guesses[row]!.length);
    }
  }

  async #apart(chunks: readonly PrefillChunk[], rows: StepPlan['rows']): Promise<void> {
    for (const chunk of chunks) await this.#prefill(chunk);
    await this.#decode(rows);
  }

  async #decode(rows: StepPlan['rows']): Promise<void> {
    if (rows.length === 0) return;
    try {
      const choices = await this.#timed.decode(this.#batch(rows));
      for (const [row, own] of rows.entries()) {
        const choice = choices[row];
        this.#accept(own, choice ? [choice] : []);
      }
    } catch (error) {
      this.#completions.breakDown(
        rows.map(({ id }) => id),
        error,
      );
    }
  }

  /** A row whose request has just failed stays in the batch as an empty row; its result is ignored. */
  #batch(rows: StepPlan['rows']): DecodeRow[] {
    return rows.map(({ id, past }) => {
      const completion = this.#completions.get(id);
      return completion
        ? { token: completion.nextInput, past, sampling: completion.sampling }
        : { token: 0, past: 0, sampling: null };
    });
  }

  #guess({ id, past }: StepPlan['rows'][number]): { tokens: readonly number[]; rightShare: number } {
    const completion = this.#guesses ? this.#completions.get(id) : undefined;
    return completion?.guess(this.#capacity - past - 1) ?? { tokens: [], rightShare: 0 };
  }

  /** The guesses that make a step's tokens come faster, by row. Surer ones first, since each makes the step longer. */
  #chooseGuesses(rows: StepPlan['rows'], chunks: readonly PrefillChunk[]): (readonly number[])[] {
    const guesses = rows.map((row) => this.#guess(row));
    const chosen: (readonly number[])[] = rows.map(() => []);
    const prompts = chunks.reduce((sum, { start, end }) => sum + end - start, 0);
    const msOf = (decoded: number) => this.#timed.runMs(prompts + decoded);
    const isAlone = rows.length === 1 && prompts === 0;
    const maxMs = isAlone ? Number.POSITIVE_INFINITY : maxGuessStretch * msOf(rows.length);
    const maxDecoded = maxLogits / this.#session.vocabSize;
    const run = { decoded: rows.length, expected: rows.length };
    const order = [...guesses.keys()].sort((a, b) => guesses[b]!.rightShare - guesses[a]!.rightShare);
    for (const row of order) {
      const { tokens, rightShare } = guesses[row]!;
      const decoded = run.decoded + tokens.length;
      const expected = run.expected + rightShare * tokens.length;
      const pays = expected / msOf(decoded) > run.expected / msOf(run.decoded);
      if (tokens.length === 0 || !pays || msOf(decoded) > maxMs || decoded > maxDecoded) continue;
      chosen[row] = tokens;
      Object.assign(run, { decoded, expected });
    }
    return chosen;
  }

  /** Decodes a row together with a guess of its next tokens. @returns whether there was a guess */
  async #verify(own: StepPlan['rows'][number]): Promise<boolean> {
    const { tokens } = this.#guess(own);
    if (tokens.length === 0) return false;
    await this.#attempt(own.id, async ({ nextInput, sampling }) => {
      const row = { token: nextInput, past: own.past, sampling };
      this.#accept(own, await this.#timed.verify(row, tokens), tokens.length);
    });
    return true;
  }

  /** Adds the chosen tokens to a row's completion: all but the last are right guesses. */
  #accept({ id, past }: StepPlan['rows'][number], choices: readonly Choice[], guessed = 0): void {
    const completion = this.#completions.get(id);
    if (!completion || choices.length === 0) return;
    if (guessed > 0) {
      completion.verified(guessed, choices.length - 1);
      this.#scheduler.filledMore(id, choices.length - 1);
      this.#completions.guessed(id, guessed, 0);
    }
    for (const [i, choice] of choices.entries()) {
      // It may have ended within the guess.
      if (this.#completions.get(id) !== completion) return;
      if (i > 0) this.#completions.guessed(id, 0, 1);
      if (choice === 'late') this.#scheduler.repeat(id);
      else if (choice instanceof SamplingError) this.#completions.breakDown([id], choice);
      else this.#advance(completion, choice, past + 1 + i);
    }
  }

  /** @param filled decoder positions in use in the slot */
  #advance(completion: Completion, sampled: SampledToken, filled: number): void {
    try {
      this.#completions.advance(completion, sampled, filled >= this.#capacity);
    } catch (error) {
      this.#completions.breakDown([completion.request.id], error);
    }
  }
}

/** Chooses the first token; null if the request asks for none. */
const samplingBehindPrompt = ({ request, sampling }: Completion) => (request.maxTokens > 0 ? sampling : null);
