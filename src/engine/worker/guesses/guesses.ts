import type { Session } from '../../../runtime/session.ts';
import type { GuessSource } from '../../protocol/generation.ts';
import type { StepPlan } from '../../scheduler/step-plan.ts';
import type { Completion } from '../completion.ts';
import type { OpenRequests } from '../open-requests.ts';
import type { TimedSession } from '../timed-session.ts';
import type { Draft } from './draft.ts';
import { DraftPace, type DraftTimes } from './draft-pace.ts';

/** Guesses of the step's next tokens for one row. */
export interface RowGuess {
  tokens: readonly number[];
  source: GuessSource;
}
export const noGuess: RowGuess = { tokens: [], source: 'prompt' };

export interface GuessesParts {
  session: Session;
  timed: TimedSession;
  /** Decoder positions of a slot. */
  capacity: number;
  open: OpenRequests;
  /** Guess from the sequences' own texts. */
  promptLookup: boolean;
  /** null: none. */
  draft: Draft | null;
}

/** Maximum logits a session computes at once for rows and guesses: 32 MiB. */
const maxLogits = 2 ** 23;
/** Guesses from texts make a run of several sequences at most this many times as long, because the others wait for it. */
const maxStretch = 1.5;
/** A draft reads a prompt only if so many tokens would make up for it, or fewer if the sequence may not have as many. */
const maxExpected = 128;
/** What reading a prompt should bring, next to what it takes: the answer may end soon. */
const minReturn = 2;
/** Steps without a new look after one in which no proposals paid, because looking takes time too. */
const restSteps = 10;
/** Weight of a step in the mean time that drafting takes. */
const weight = 1 / 8;

/**
 * Chooses the guesses that a step checks: from a sequence's own text if it has one, else from a draft model, and only
 * as far as the tokens are expected to come faster with them.
 */
export class Guesses {
  readonly #session: Session;
  readonly #timed: TimedSession;
  readonly #capacity: number;
  readonly #open: OpenRequests;
  readonly #promptLookup: boolean;
  readonly #draft: Draft | null;
  readonly #pace = new DraftPace();
  #draftMs = 0;
  /** Steps to go without a look at the draft. */
  #rest = 0;

  constructor({ session, timed, capacity, open, promptLookup, draft }: GuessesParts) {
    this.#session = session;
    this.#timed = timed;
    this.#capacity = capacity;
    this.#open = open;
    this.#promptLookup = promptLookup;
    this.#draft = draft;
  }

  /** Mean milliseconds that the draft takes in a step. */
  get draftMs(): number {
    return this.#draft?.isOn ? this.#draftMs : 0;
  }

  /**
   * @param othersWait sequences of other models wait for the step
   * @returns by row
   */
  async choose({ rows, chunks, prefillTokens }: StepPlan, othersWait: boolean): Promise<RowGuess[]> {
    const prompts = chunks.reduce((sum, { start, end }) => sum + end - start, 0);
    if (rows.length === 0) return [];
    const { guesses, expected } = this.#promptLookup
      ? this.#fromTexts(rows, prompts)
      : { guesses: rows.map(() => noGuess), expected: rows.length };
    // A step with prompts is long enough, as long as prompts may make it.
    if (this.#draft?.isOn && prefillTokens === 0) {
      await this.#addProposals(this.#draft, rows, { guesses, expected, othersWait });
    }
    return guesses;
  }

  /** Records how many tokens of a row's guess were right. */
  checked(completion: Completion, { tokens, source }: RowGuess, right: number): void {
    if (source === 'prompt') completion.verified(tokens.length, right);
    else this.#pace.checked(completion.request.id, tokens.length, right);
  }

  /** The request has ended. */
  release(id: string): void {
    this.#pace.ended(id);
    this.#draft?.release(id);
  }

  /** Positions behind the next token that a guess may fill in every row. */
  #room({ id, past }: StepPlan['rows'][number], longestPast: number): number {
    const completion = this.#open.completion(id);
    if (!completion?.isFree) return 0;
    const { generated, request } = completion;
    // Where rows are padded to the longest, all need the room.
    const taken = this.#session.packs ? past : longestPast;
    return Math.min(this.#capacity - taken, request.maxTokens - generated.length) - 1;
  }

  /** Expected milliseconds of a run over so many tokens. */
  #msOf(tokens: number): number {
    return this.#session.packs ? this.#timed.runMs(tokens) : this.#timed.decodeMs(tokens) || 1;
  }

  /** Tokens that a run computes for rows with so many guessed tokens. */
  #sizeOf(counts: readonly number[]): number {
    if (!this.#session.packs) return counts.length * (1 + Math.max(...counts));
    return counts.reduce((sum, count) => sum + count, counts.length);
  }

  /** The guesses that make a step's tokens come faster, by row. Surer ones first, since each makes the step longer. */
  #fromTexts(rows: StepPlan['rows'], prompts: number): { guesses: RowGuess[]; expected: number } {
    const isAlone = rows.length === 1 && prompts === 0;
    const longest = Math.max(...rows.map(({ past }) => past));
    const found = rows.map((row) => {
      const room = isAlone || this.#session.packs ? this.#room(row, longest) : 0;
      return room > 0 ? this.#open.completion(row.id)!.guess(room) : { tokens: [], rightShare: 0 };
    });
    const guesses = rows.map(() => noGuess);
    const msOf = (decoded: number) => this.#msOf(prompts + decoded);
    const maxMs = isAlone ? Number.POSITIVE_INFINITY : maxStretch * msOf(rows.length);
    const maxDecoded = maxLogits / this.#session.vocabSize;
    const run = { decoded: rows.length, expected: rows.length };
    const order = [...found.keys()].sort((a, b) => found[b]!.rightShare - found[a]!.rightShare);
    for (const row of order) {
      const { tokens, rightShare } = found[row]!;
      const decoded = run.decoded + tokens.length;
      const expected = run.expected + rightShare * tokens.length;
      const pays = !this.#session.packs || expected / msOf(decoded) > run.expected / msOf(run.decoded);
      if (tokens.length === 0 || !pays || msOf(decoded) > maxMs || decoded > maxDecoded) continue;
      guesses[row] = { tokens, source: 'prompt' };
      Object.assign(run, { decoded, expected });
    }
    return { guesses, expected: run.expected };
  }

  /** Has the draft propose tokens for rows without a guess, if that pays or is worth a trial. */
  async #addProposals(
    draft: Draft,
    rows: StepPlan['rows'],
    { guesses, expected, othersWait }: { guesses: RowGuess[]; expected: number; othersWait: boolean },
  ): Promise<void> {
    const fixed = guesses.map(({ tokens }) => tokens.length);
    const plainMs = this.#msOf(this.#sizeOf(fixed));
    if (this.#rest > 0) {
      this.#rest -= 1;
      this.#draftMs -= weight * this.#draftMs;
      this.#pace.spent(plainMs, 0);
      return;
    }
    const longest = Math.max(...rows.map(({ past }) => past));
    const found = rows.flatMap((row, index) => {
      const most = guesses[index]!.tokens.length === 0 ? this.#room(row, longest) : 0;
      const completion = most > 0 ? this.#open.completion(row.id)! : null;
      const room = completion === null ? 0 : Math.min(most, draft.room(completion));
      if (completion === null || room < 1) return [];
      return [{ index, id: row.id, completion, room }];
    });
    const maxDecoded = maxLogits / this.#session.vocabSize;
    const timesOf = (candidates: typeof found): DraftTimes => ({
      check: (counts) => {
        const all = [...fixed];
        for (const [i, { index }] of candidates.entries()) all[index] = counts[i]!;
        const size = this.#sizeOf(all);
        return size > maxDecoded ? Number.POSITIVE_INFINITY : this.#msOf(size);
      },
      draft: (count) => draft.timed.decodeMs(count),
    });
    const choose = (candidates: typeof found) => {
      const step = { expected, othersWait: othersWait || candidates.length < rows.length };
      return this.#pace.choose(candidates, step, timesOf(candidates));
    };
    const before = draft.timed.spentMs;
    let trialMs = 0;
    let ready = found.filter(({ completion }) => draft.isReady(completion));
    const [behind] = found
      .filter((one) => !ready.includes(one))
      .sort((a, b) => draft.readMs(a.completion) - draft.readMs(b.completion));
    if (behind) {
      const { gain } = choose([...ready, behind]);
      const readMs = draft.readMs(behind.completion);
      const pays = tokensLeft(behind.completion) * plainMs * (1 - 1 / gain) > minReturn * readMs;
      // A trial reads only what it can go on to use.
      if (pays || this.#pace.canTry(readMs + this.#pace.trial([behind], timesOf([behind])).ms)) {
        await draft.read(behind.completion, plainMs / 2);
        if (!pays) trialMs += draft.timed.spentMs - before;
        if (draft.isReady(behind.completion)) ready = [...ready, behind];
      }
    }
    if (ready.length > 0) {
      let { counts } = choose(ready);
      const trial = this.#pace.trial(ready, timesOf(ready));
      if (counts.every((count) => count === 0) && this.#pace.canTry(trialMs + trial.ms)) {
        ({ counts } = trial);
        trialMs += trial.ms;
      }
      const wanted = ready.map((one, i) => ({ ...one, count: counts[i]! })).filter(({ count }) => count > 0);
      const proposed = wanted.length === 0 ? [] : await draft.propose(wanted);
      for (const [i, { index }] of wanted.entries()) {
        guesses[index] = { tokens: proposed[i]!, source: 'draft' };
      }
    }
    const spentMs = draft.timed.spentMs - before;
    if (spentMs === 0 && guesses.every(({ source }) => source !== 'draft')) this.#rest = restSteps;
    this.#pace.spent(plainMs, trialMs);
    this.#draftMs += weight * (spentMs - this.#draftMs);
  }
}

/** Tokens that a sequence may still get, as far as anybody can tell: few answers are as long as they may be. */
const tokensLeft = ({ request, generated }: Completion) =>
  Math.min(maxExpected, request.maxTokens - generated.length);
