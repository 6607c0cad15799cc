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

  /** @param eosTokens the model's end-of-sequence tokens */
  constructor(request: GenerationRequest, eosTokens: readonly number[]) {
    const { sampling, stop } = request;
    this.parameters = sampling;
    this.alternatives = request.logprobs;
    this.seen = new Set(sampling.repetitionPenalty === 1 ? [] : request.promptTokens);
    this.#endTokens = stop.ignoreEos ? stop.tokenIds : [...eosTokens, ...stop.tokenIds];
    this.#minTokens = stop.minTokens;
  }

  /** Tokens that may not come next because they would end the completion too soon. */
  get forbidden(): readonly number[] {
    return this.position < this.#minTokens ? this.#endTokens : [];
  }

  record(token: number): void {
    this.position += 1;
    this.seen.add(token);
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
  }
}
