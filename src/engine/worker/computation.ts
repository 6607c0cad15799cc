import type { Choice, DecodeRow, Segment, Session } from '../../runtime/session.ts';
import type { SampledToken } from '../../sampling/sampled-token.ts';
import { SamplingError } from '../../sampling/sampling-error.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { PrefillChunk, StepPlan } from '../scheduler/step-plan.ts';
import type { Completion, CompletionModel } from './completion.ts';
import { type Guesses, noGuess, type RowGuess } from './guesses/guesses.ts';
import type { OpenRequests } from './open-requests.ts';
import type { TimedSession } from './timed-session.ts';

export interface ComputationParts {
  session: Session;
  timed: TimedSession;
  /** Decoder positions of a slot. */
  capacity: number;
  scheduler: Scheduler;
  open: OpenRequests;
  model: CompletionModel;
  /** null: nothing is guessed. */
  guesses: Guesses | null;
}

/** Maximum logits a session computes at once for a scored prompt: 32 MiB. */
const maxLogits = 2 ** 23;

/** Carries out what a step's plan computes, and hands the chosen tokens to their completions. */
export class Computation {
  readonly #session: Session;
  readonly #timed: TimedSession;
  readonly #capacity: number;
  readonly #scheduler: Scheduler;
  readonly #open: OpenRequests;
  readonly #model: CompletionModel;
  readonly #guesses: Guesses | null;

  constructor({ session, timed, capacity, scheduler, open, model, guesses }: ComputationParts) {
    this.#session = session;
    this.#timed = timed;
    this.#capacity = capacity;
    this.#scheduler = scheduler;
    this.#open = open;
    this.#model = model;
    this.#guesses = guesses;
  }

  /** @param othersWait sequences of other models wait for the step */
  async run(plan: StepPlan, othersWait = false): Promise<void> {
    const { embeds, encodes, chunks, rows } = plan;
    for (const id of embeds) await this.#open.attemptEmbedding(id, (prompt) => this.#timed.embed(prompt));
    for (const { id, slot } of encodes) {
      await this.#open.attempt(id, async (completion) => {
        await this.#timed.encode(slot, completion.request.promptTokens);
        this.encoded(completion);
      });
    }
    if (this.#session.packs) {
      const [scored, others] = [true, false].map((is) =>
        chunks.filter(({ id }) => this.#isScored(id) === is),
      );
      for (const chunk of scored!) await this.#prefill(chunk);
      await this.#pack(others!, rows, await this.#guess(plan, othersWait));
      return;
    }
    for (const chunk of chunks) await this.#prefill(chunk);
    const guesses = await this.#guess(plan, othersWait);
    if (isGuessing(guesses)) await this.#verify(rows, guesses);
    else await this.#decode(rows);
  }

  /** Without a completion prefix the decoder has nothing to prefill. */
  encoded(completion: Completion): void {
    if (completion.request.completionPrefix.length === 0) this.#open.prefilled(completion);
  }

  #isScored(id: string): boolean {
    return this.#open.completion(id)?.request.promptLogprobs !== null;
  }

  /** Computes a chunk, in pieces if its tokens are scored. */
  async #prefill(chunk: PrefillChunk): Promise<void> {
    await this.#open.attempt(chunk.id, async (completion) => {
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
        if (scoring) this.#open.score(id, from === 0 && startsWithPrompt ? [null, ...scores] : scores);
        last = sampled;
      }
      this.#prefilled(completion, chunk, last);
    });
  }

  /** @param sampled the first generated token; null if the request asks for none */
  #prefilled(completion: Completion, { isLast, end }: PrefillChunk, sampled: SampledToken | null): void {
    if (!isLast) return;
    this.#open.prefilled(completion);
    if (sampled === null) this.#open.finishEmpty(completion);
    else this.#advance(completion, sampled, end);
  }

  /** Computes chunks of prompts, decode rows, and guesses of what follows these, in one run. */
  async #pack(
    chunks: readonly PrefillChunk[],
    rows: StepPlan['rows'],
    guesses: readonly RowGuess[],
  ): Promise<void> {
    const prompts = chunks.flatMap((chunk) => {
      const completion = this.#open.completion(chunk.id);
      return completion ? [{ chunk, completion }] : [];
    });
    if (!isGuessing(guesses) && (prompts.length === 0 || prompts.length + rows.length === 1)) {
      await this.#apart(chunks, rows);
      return;
    }
    const given = prompts.map(({ chunk: { slot, start, end, isLast }, completion }): Segment => {
      const sampling = isLast ? samplingBehindPrompt(completion) : null;
      return { slot, tokens: completion.given.slice(start, end), past: start, guessed: 0, sampling };
    });
    const decoded = this.#segments(rows, guesses);
    let choices: Choice[][];
    try {
      choices = await this.#timed.pack(given, decoded);
    } catch (error) {
      this.#open.breakDown([], error);
      // So that a prompt that makes the run fail takes nobody along.
      await this.#apart(chunks, rows);
      return;
    }
    for (const [i, { chunk, completion }] of prompts.entries()) {
      const [choice = null] = choices[i]!;
      if (choice === 'late') this.#open.breakDown([chunk.id], new Error('a grammar that begins late'));
      else if (choice instanceof SamplingError) this.#open.breakDown([chunk.id], choice);
      else this.#prefilled(completion, chunk, choice);
    }
    for (const [row, own] of rows.entries()) {
      this.#accept(own, choices[prompts.length + row]!, guesses[row]!);
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
      this.#open.breakDown(
        rows.map(({ id }) => id),
        error,
      );
    }
  }

  /** A row whose request has just failed stays in the batch as an empty row; its result is ignored. */
  #batch(rows: StepPlan['rows']): DecodeRow[] {
    return rows.map(({ id, past }) => {
      const completion = this.#open.completion(id);
      return completion
        ? { token: completion.nextInput, past, sampling: completion.sampling }
        : { token: 0, past: 0, sampling: null };
    });
  }

  /** The rows with their guesses. */
  #segments(rows: StepPlan['rows'], guesses: readonly RowGuess[]): Segment[] {
    return this.#batch(rows).map(({ token, past, sampling }, slot): Segment => {
      const { tokens } = guesses[slot]!;
      return { slot, tokens: [token, ...tokens], past, guessed: tokens.length, sampling };
    });
  }

  async #guess(plan: StepPlan, othersWait: boolean): Promise<RowGuess[]> {
    return (await this.#guesses?.choose(plan, othersWait)) ?? plan.rows.map(() => noGuess);
  }

  /** Decodes rows together with guesses of their next tokens. */
  async #verify(rows: StepPlan['rows'], guesses: readonly RowGuess[]): Promise<void> {
    try {
      const choices = await this.#timed.verify(this.#segments(rows, guesses));
      for (const [row, own] of rows.entries()) this.#accept(own, choices[row]!, guesses[row]!);
    } catch (error) {
      this.#open.breakDown(
        rows.map(({ id }) => id),
        error,
      );
    }
  }

  /** Adds the chosen tokens to a row's completion: all but the last are right guesses. */
  #accept({ id, past }: StepPlan['rows'][number], choices: readonly Choice[], guess = noGuess): void {
    const completion = this.#open.completion(id);
    if (!completion || choices.length === 0) return;
    const { tokens, source } = guess;
    if (tokens.length > 0) {
      this.#guesses!.checked(completion, guess, choices.length - 1);
      this.#scheduler.filledMore(id, choices.length - 1);
      this.#open.guessed(id, source, tokens.length, 0);
    }
    for (const [i, choice] of choices.entries()) {
      // It may have ended within the guess.
      if (this.#open.completion(id) !== completion) return;
      if (i > 0) this.#open.guessed(id, source, 0, 1);
      if (choice === 'late') this.#scheduler.repeat(id);
      else if (choice instanceof SamplingError) this.#open.breakDown([id], choice);
      else this.#advance(completion, choice, past + 1 + i);
    }
  }

  /** @param filled decoder positions in use in the slot */
  #advance(completion: Completion, sampled: SampledToken, filled: number): void {
    try {
      this.#open.advance(completion, sampled, filled >= this.#capacity);
    } catch (error) {
      this.#open.breakDown([completion.request.id], error);
    }
  }
}

/** Chooses the first token; null if the request asks for none. */
const samplingBehindPrompt = ({ request, sampling }: Completion) => (request.maxTokens > 0 ? sampling : null);

const isGuessing = (guesses: readonly RowGuess[]) => guesses.some(({ tokens }) => tokens.length > 0);
