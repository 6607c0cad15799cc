/** Natural logarithms of the model's own distribution, before penalties and temperature. */
export interface TokenLogprobs {
  logprob: number;
  /** Most likely first. */
  top: readonly { token: number; logprob: number }[];
}

/** Those of a token of the prompt. */
export interface PromptTokenLogprobs extends TokenLogprobs {
  /** Place among all tokens by likelihood, from 1. */
  rank: number;
}

export interface SampledToken {
  token: number;
  /** null where none were asked for. */
  logprobs: TokenLogprobs | null;
}
