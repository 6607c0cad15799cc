import { maxProposed } from './draft.ts';

/** Rows that do not gain from proposals take at most this many times as long for a token. */
const maxStretch = 1.5;
/** Proposals must make the step's tokens come faster by this factor, or they are not worth the trouble. */
const minGain = 1.05;
/** Share of the time that goes to trying whether proposals have begun to pay. */
const trialShare = 0.01;
/** Maximum milliseconds that are saved up for trials. */
const maxCredit = 1000;
/** Proposals of a trial. */
const trialLength = 2;
/** Share of right proposals before any was checked. */
const firstShare = 0.7;
/** Weights of one checked token in the shares of a sequence, and of all; the first tokens weigh more in the latter. */
const [ownWeight, commonWeight] = [1 / 8, 1 / 64];

/** A sequence that could get proposals in a step. */
export interface Candidate {
  id: string;
  /** Maximum tokens to propose. */
  room: number;
}

/** Expected milliseconds, from measurements. */
export interface DraftTimes {
  /** A run of the model in which each of the rows has so many proposals, and the other rows none. */
  check(counts: readonly number[]): number;
  /** A run of the draft for so many rows. */
  draft(rows: number): number;
}

export interface Step {
  /** Tokens that the step is expected to bring without proposals: one a row, and right guesses. */
  expected: number;
  /** Rows that are no candidates, or sequences of other models, wait for the step. */
  othersWait: boolean;
}

/**
 * Decides how many tokens a draft proposes for which sequences: as many as make the step's tokens come fastest, given
 * what it takes and how many were right lately. While none pays, 1 % of the time goes to trials. Pure.
 */
export class DraftPace {
  #common = firstShare;
  #checked = 0;
  readonly #shares = new Map<string, number>();
  /** Milliseconds that trials may take. */
  #credit = 0;

  /** Share of a sequence's proposals that is expected to be right. */
  share(id: string): number {
    return this.#shares.get(id) ?? this.#common;
  }

  /** Records how many of a sequence's proposals were right. Behind the first wrong one, nothing was learned. */
  checked(id: string, proposed: number, right: number): void {
    let own = this.share(id);
    for (let i = 0; i < Math.min(proposed, right + 1); i++) {
      const value = i < right ? 1 : 0;
      own += ownWeight * (value - own);
      this.#checked += 1;
      this.#common += Math.max(commonWeight, 1 / (this.#checked + 1)) * (value - this.#common);
    }
    this.#shares.set(id, own);
  }

  ended(id: string): void {
    this.#shares.delete(id);
  }

  /** Records the time of a step, and how much of it went to proposals that were not expected to pay. */
  spent(stepMs: number, trialMs: number): void {
    this.#credit = Math.min(maxCredit, this.#credit + trialShare * stepMs - trialMs);
  }

  canTry(ms: number): boolean {
    return this.#credit > 0 && this.#credit >= ms;
  }

  /** @returns by candidate, how many tokens to propose, and how much faster the step's tokens come; 1: none pay */
  choose(
    candidates: readonly Candidate[],
    step: Step,
    times: DraftTimes,
  ): { counts: readonly number[]; gain: number } {
    const order = [...candidates.keys()].sort(
      (a, b) => this.share(candidates[b]!.id) - this.share(candidates[a]!.id),
    );
    const none = candidates.map(() => 0);
    const plainMs = times.check(none);
    let best = { counts: none, gain: 1 };
    // The surest ones: 1, 2, 4, … or all of them, since each look at a number takes time too.
    for (let next = 1; next < 2 * order.length; next *= 2) {
      const rows = Math.min(next, order.length);
      const chosen = new Set(order.slice(0, rows));
      for (let length = 1; length <= maxProposed; length++) {
        const counts = candidates.map(({ room }, i) => (chosen.has(i) ? Math.min(length, room) : 0));
        const ms = times.check(counts) + length * times.draft(rows);
        const more = counts.map((count, i) => rightOf(this.share(candidates[i]!.id), count));
        const stretch = ms / plainMs;
        const isFair = [...more, ...(step.othersWait ? [0] : [])].every(
          (right) => stretch <= maxStretch * (1 + right),
        );
        const expected = step.expected + more.reduce((sum, right) => sum + right, 0);
        const gain = expected / step.expected / stretch;
        if (isFair && gain > Math.max(minGain, best.gain)) best = { counts, gain };
      }
    }
    return best;
  }

  /** What to propose to learn whether it pays, and what that costs. */
  trial(candidates: readonly Candidate[], times: DraftTimes): { counts: readonly number[]; ms: number } {
    const counts = candidates.map(({ room }, i) => (i === 0 ? Math.min(trialLength, room) : 0));
    const plainMs = times.check(candidates.map(() => 0));
    return { counts, ms: times.check(counts) - plainMs + counts[0]! * times.draft(1) };
  }
}

/** Expected number of right tokens among `count`, each right with probability `share` if those before it are. */
function rightOf(share: number, count: number): number {
  let [right, all] = [1, 0];
  for (let i = 0; i < count; i++) all += right *= share;
  return all;
}
