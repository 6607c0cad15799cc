import type { SamplingParameters, SamplingRequest } from '../../src/sampling/sampling-request.ts';

export interface SamplingOverrides extends Partial<Omit<SamplingRequest, 'parameters'>> {
  parameters?: Partial<SamplingParameters>;
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

export function samplingRequest({ parameters, ...others }: SamplingOverrides = {}): SamplingRequest {
  return {
    promptTokens: [],
    endTokens: [],
    minTokens: 0,
    logprobs: null,
    ...others,
    parameters: { ...greedy, ...parameters },
  };
}
