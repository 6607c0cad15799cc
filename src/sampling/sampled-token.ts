/** Natural logarithms of the model's own distribution, before penalties and temperature. */
export interface TokenLogprobs {
  logprob: number;
  /** Most likely first. */
  top: readonly { token: number; logprob: number }[];
}

/** Log probabilities of a prompt token. */
export interface PromptTokenLogprobs extends TokenLogprobs {
  /** Rank among all tokens by likelihood, from 1. */
  rank: number;
}

export interface SampledToken {
  token: number;
  /** null if not requested. */
  logprobs: TokenLogprobs | null;
}
