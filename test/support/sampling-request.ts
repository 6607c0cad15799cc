import {
  greedy,
  type SamplingParameters,
  type SamplingRequest,
} from '../../src/sampling/sampling-request.ts';

export interface SamplingOverrides extends Partial<Omit<SamplingRequest, 'parameters'>> {
  parameters?: Partial<SamplingParameters>;
}

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
