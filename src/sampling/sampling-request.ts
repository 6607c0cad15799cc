/** How the next token is chosen. Neutral values switch a control off; ranges are checked at the edge (http/). */
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
  /** The only tokens that may come; null: all. */
  allowedTokens: readonly number[] | null;
  /** Sequences of tokens that may not come: where the output ends with all but the last of one, the last is left out. */
  badWords: readonly (readonly number[])[];
  /** Id of a compiled grammar that the completion keeps to; null: none. */
  grammar: number | null;
  /** Unsigned 64-bit as two 32-bit halves, low first. The stream of random numbers depends on it and the position alone. */
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

/** All that the choice of a completion's tokens depends on beside the model's logits. */
export interface SamplingRequest {
  parameters: SamplingParameters;
  promptTokens: readonly number[];
  /** Tokens that end the completion. */
  endTokens: readonly number[];
  /** None of `endTokens` before this many tokens. */
  minTokens: number;
  /** How many alternatives to report with each token (0: the token's own only); null: no log probabilities at all. */
  logprobs: number | null;
}
