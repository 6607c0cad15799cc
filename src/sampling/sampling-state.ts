import type { SamplingParameters, SamplingRequest } from './sampling-request.ts';

/** A completion's sampling request with the tokens chosen so far. */
export class SamplingState {
  readonly parameters: SamplingParameters;
  /** Number of alternatives to report with each token; null: no log probabilities. */
  readonly alternatives: number | null;
  /** Distinct tokens of the completion, and of the prompt if there is a repetition penalty. */
  readonly seen: Set<number>;
  /** Occurrences of each token in the completion. */
  readonly counts = new Map<number, number>();
  /** The completion so far. */
  readonly output: number[] = [];
  readonly #endTokens: readonly number[];
  readonly #minTokens: number;

  constructor({ parameters, promptTokens, endTokens, minTokens, logprobs }: SamplingRequest) {
    this.parameters = parameters;
    this.alternatives = logprobs;
    this.seen = new Set(parameters.repetitionPenalty === 1 ? [] : promptTokens);
    this.#endTokens = endTokens;
    this.#minTokens = minTokens;
  }

  /** Position of the next token in the completion, from 0. */
  get position(): number {
    return this.output.length;
  }

  /** Tokens that may not come next, because they would end the completion too soon or complete a bad word. */
  get forbidden(): readonly number[] {
    const ends = this.position < this.#minTokens ? this.#endTokens : [];
    const completed = this.parameters.badWords.filter((word) => this.#endsWith(word.slice(0, -1)));
    return [...ends, ...completed.map((word) => word.at(-1)!)];
  }

  record(token: number): void {
    this.output.push(token);
    this.seen.add(token);
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
  }

  /** The same state without a grammar and log probabilities, which advances on its own. */
  fork(): SamplingState {
    const { parameters, seen, output } = this;
    const fork = new SamplingState({
      parameters: { ...parameters, grammar: null },
      promptTokens: [...seen],
      endTokens: this.#endTokens,
      minTokens: this.#minTokens,
      logprobs: null,
    });
    for (const token of output) fork.record(token);
    return fork;
  }

  /** Nothing to free: it holds only memory. */
  end(): void {}

  /** A grammar would need the native backend. */
  isFree(): boolean {
    return this.parameters.grammar === null;
  }

  #endsWith(tokens: readonly number[]): boolean {
    const start = this.output.length - tokens.length;
    return start >= 0 && tokens.every((token, i) => this.output[start + i] === token);
  }
}
