import type { GenerationRequest, SamplingParameters } from './generation.ts';

/** What the choice of one request's next token depends on beside the logits; kept up to date token by token. */
export class SamplingState {
  readonly parameters: SamplingParameters;
  /** How many alternatives to report with each token; null: no log probabilities at all. */
  readonly alternatives: number | null;
  /** Distinct tokens of prompt and completion; the prompt's only where a repetition penalty asks for them. */
  readonly seen: Set<number>;
  /** Occurrences in the completion. */
  readonly counts = new Map<number, number>();
  /** Place of the next token in the completion, from 0. */
  position = 0;
  readonly #endTokens: readonly number[];
  readonly #minTokens: number;
  /** The completion's last tokens, as many as can begin a bad word. */
  readonly #recent: number[] = [];
  readonly #longestBeginning: number;

  /** @param eosTokens the model's end-of-sequence tokens */
  constructor(request: GenerationRequest, eosTokens: readonly number[]) {
    const { sampling, stop } = request;
    this.parameters = sampling;
    this.alternatives = request.logprobs;
    this.seen = new Set(sampling.repetitionPenalty === 1 ? [] : request.promptTokens);
    this.#endTokens = stop.ignoreEos ? stop.tokenIds : [...eosTokens, ...stop.tokenIds];
    this.#minTokens = stop.minTokens;
    this.#longestBeginning = Math.max(0, ...sampling.badWords.map(({ length }) => length - 1));
  }

  /** Tokens that may not come next: they would end the completion too soon, or complete a bad word. */
  forbidden(): readonly number[] {
    const ends = this.position < this.#minTokens ? this.#endTokens : [];
    const { badWords } = this.parameters;
    if (badWords.length === 0) return ends;
    const complete = badWords.filter((word) => this.#endsWith(word, word.length - 1));
    return [...ends, ...complete.map((word) => word.at(-1)!)];
  }

  record(token: number): void {
    this.position += 1;
    this.seen.add(token);
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
    if (this.#longestBeginning === 0) return;
    this.#recent.push(token);
    if (this.#recent.length > this.#longestBeginning) this.#recent.shift();
  }

  /** Whether the completion ends with the first `length` tokens of `word`. */
  #endsWith(word: readonly number[], length: number): boolean {
    const start = this.#recent.length - length;
    if (start < 0) return false;
    for (let i = 0; i < length; i++) if (this.#recent[start + i] !== word[i]) return false;
    return true;
  }
}
