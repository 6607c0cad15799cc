/** How to choose the next token. Neutral values switch a control off; http/ checks the ranges. */
export interface SamplingParameters {
  /** 0 is greedy. */
  temperature: number;
  /** 0 is off. */
  topK: number;
  /** 1 is off. */
  topP: number;
  /** 0 is off. */
  minP: number;
  /** 1 is off; divides positive and multiplies negative logits of tokens seen in prompt or output (CTRL, arXiv 1909.05858). */
  repetitionPenalty: number;
  /** 0 is off; subtracted once per token seen in the output. */
  presencePenalty: number;
  /** 0 is off; subtracted per occurrence in the output. */
  frequencyPenalty: number;
  /** Added to the logits, by token id. */
  logitBias: readonly (readonly [tokenId: number, bias: number])[];
  /** The only tokens allowed; null: all. */
  allowedTokens: readonly number[] | null;
  /**
   * Forbidden token sequences: where the output ends with all but the last token of one, its last token may not follow.
   */
  badWords: readonly (readonly number[])[];
  /** Id of the compiled grammar that the completion must follow; null: none. */
  grammar: number | null;
  /** Unsigned 64-bit as two 32-bit halves, low first. The random numbers depend only on it and the position. */
  seed: readonly [low: number, high: number];
}

/** Greedy, with every control off. */
export const greedy: SamplingParameters = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  allowedTokens: null,
  badWords: [],
  grammar: null,
  seed: [0, 0],
};

/** Everything that determines a completion's tokens, in addition to the model's logits. */
export interface SamplingRequest {
  parameters: SamplingParameters;
  promptTokens: readonly number[];
  /** Tokens that end the completion. */
  endTokens: readonly number[];
  /** None of `endTokens` may come before this many tokens. */
  minTokens: number;
  /** Number of alternatives to report with each token (0: only the token's own logprob); null: no log probabilities. */
  logprobs: number | null;
}
