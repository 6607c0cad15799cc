/** Tokens that must have occurred before in the same order. */
const contextLength = 3;
/** Maximum tokens of a guess. */
const maxGuess = 8;
const firstGuess = 4;
/** After guesses that were wrong from the first token, this many steps at most pass without one. */
const maxPause = 64;

/** Weight of a guess in the share of right tokens next to those before. */
const weight = 1 / 4;

export interface Guess {
  tokens: readonly number[];
  /** Share of recent guesses' tokens that were right. */
  rightShare: number;
}
const noGuess: Guess = { tokens: [], rightShare: 0 };

/**
 * Guesses a sequence's next tokens: those that followed the last time its last three tokens occurred, in its prompt or
 * in its output (prompt lookup decoding). It guesses more after right guesses and pauses after wrong ones.
 */
export class PromptLookup {
  readonly #tokens: number[] = [];
  /** By a hash of three tokens, the index behind their last occurrence. */
  readonly #behind = new Map<number, number>();
  #limit = firstGuess;
  /** Steps to go without a guess. */
  #pause = 0;
  #nextPause = 1;
  #rightShare = 1 / 2;
  /** The first token of a guess that nobody has checked yet. */
  #unchecked: number | null = null;

  /** @param tokens the prompt and what is generated so far */
  constructor(tokens: Iterable<number>) {
    for (const token of tokens) this.add(token);
  }

  add(token: number): void {
    if (this.#unchecked !== null) this.#learn(token === this.#unchecked ? 1 : 0);
    const { length } = this.#tokens;
    if (length >= contextLength) this.#behind.set(this.#hashBefore(length), length);
    this.#tokens.push(token);
  }

  /** @param room maximum number of tokens. @returns none if nothing similar occurred, or guesses do not pay now */
  guess(room: number): Guess {
    this.#unchecked = null;
    if (this.#pause > 0) {
      this.#pause -= 1;
      return noGuess;
    }
    const tokens = this.#tokens;
    if (tokens.length <= contextLength || room < 1) return noGuess;
    const from = this.#behind.get(this.#hashBefore(tokens.length));
    if (from === undefined || !this.#isSameContext(from)) return noGuess;
    this.#unchecked = tokens[from]!;
    return { tokens: tokens.slice(from, from + Math.min(this.#limit, room)), rightShare: this.#rightShare };
  }

  /** Records how many tokens of the last guess were right. */
  verified(guessed: number, right: number): void {
    this.#learn(right / guessed);
    if (right === 0) {
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(maxPause, 2 * this.#nextPause);
      this.#limit = 2;
      return;
    }
    this.#nextPause = 1;
    this.#limit = right === guessed ? Math.min(maxGuess, 2 * this.#limit) : right + 1;
  }

  /** A guess that is not checked, because it did not seem to pay, still shows what its first token was worth. */
  #learn(share: number): void {
    this.#unchecked = null;
    this.#rightShare += weight * (share - this.#rightShare);
  }

  #hashBefore(index: number): number {
    const tokens = this.#tokens;
    let hash = 0;
    for (let i = index - contextLength; i < index; i++) hash = Math.imul(hash, 0x01000193) ^ tokens[i]!;
    return hash;
  }

  #isSameContext(index: number): boolean {
    const { length } = this.#tokens;
    for (let i = 1; i <= contextLength; i++) {
      if (this.#tokens[index - i] !== this.#tokens[length - i]) return false;
    }
    return true;
  }
}
