export interface NumberDeclaration {
  /** Its name in requests. */
  field: string;
  type: 'number' | 'integer';
  /** The default; it switches the parameter off. */
  neutral: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  /** For clients. */
  description: string;
}

/**
 * Every sampling parameter that is a number, in the order in which they apply. The HTTP schema, the reading of requests,
 * the random cases of the tests and the table in docs/api.md follow from this.
 */
export const samplingNumbers = {
  // CTRL, arXiv 1909.05858.
  repetitionPenalty: {
    field: 'repetition_penalty',
    type: 'number',
    neutral: 1,
    exclusiveMinimum: 0,
    maximum: 100,
    description:
      'Divides positive and multiplies negative logits of tokens in the prompt or output; 1 is off.',
  },
  presencePenalty: {
    field: 'presence_penalty',
    type: 'number',
    neutral: 0,
    minimum: -2,
    maximum: 2,
    description: 'Subtracted from the logits of tokens in the output.',
  },
  frequencyPenalty: {
    field: 'frequency_penalty',
    type: 'number',
    neutral: 0,
    minimum: -2,
    maximum: 2,
    description: 'Subtracted from the logits of tokens in the output, once for each time they occur.',
  },
  // Top-nσ, arXiv 2411.07641, with llama.cpp's rules for what is off and what counts.
  topNSigma: {
    field: 'top_n_sigma',
    type: 'number',
    neutral: 0,
    minimum: -1,
    description:
      'Exclude tokens whose logit is more than this many standard deviations below the highest; 0 or -1: none. Tokens that are already ruled out do not count.',
  },
  temperature: {
    field: 'temperature',
    type: 'number',
    neutral: 1,
    minimum: 0,
    maximum: 2,
    description: '0 always takes the most likely token.',
  },
  minP: {
    field: 'min_p',
    type: 'number',
    neutral: 0,
    minimum: 0,
    maximum: 1,
    description: 'Exclude tokens whose probability is below this fraction of the most likely token’s.',
  },
  topK: {
    field: 'top_k',
    type: 'integer',
    neutral: 0,
    minimum: -1,
    description: 'Sample from this many of the most likely tokens; 0 or -1: from all.',
  },
  topP: {
    field: 'top_p',
    type: 'number',
    neutral: 1,
    // A checkpoint's default may be 0, which keeps only the most likely token.
    exclusiveMinimum: 0,
    maximum: 1,
    description:
      'Sample from the smallest set of most likely tokens whose probabilities add up to at least this.',
  },
} as const satisfies Record<string, NumberDeclaration>;

export type SamplingNumber = keyof typeof samplingNumbers;

/** One value for each number. */
export function eachSamplingNumber<T>(
  value: (
    declaration: (typeof samplingNumbers)[SamplingNumber] & NumberDeclaration,
    name: SamplingNumber,
  ) => T,
): Record<SamplingNumber, T> {
  const names = Object.keys(samplingNumbers) as SamplingNumber[];
  const entries = names.map((name) => [name, value(samplingNumbers[name], name)]);
  return Object.fromEntries(entries) as Record<SamplingNumber, T>;
}

/** How to choose the next token. Neutral values switch a control off; http/ checks the ranges. */
export interface SamplingParameters extends Record<SamplingNumber, number> {
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
  ...eachSamplingNumber(({ neutral }) => neutral),
  temperature: 0,
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
