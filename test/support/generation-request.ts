import type { GenerationRequest, SamplingParameters, StopConditions } from '../../src/engine/generation.ts';

export interface RequestOverrides extends Partial<Omit<GenerationRequest, 'sampling' | 'stop'>> {
  sampling?: Partial<SamplingParameters>;
  stop?: Partial<StopConditions>;
}

/** A greedy request with every control off and no deadline; tests say only what they are about. */
export function generationRequest(overrides: RequestOverrides = {}): GenerationRequest {
  return {
    id: 'request',
    model: 'model',
    promptTokens: [5, 6, 7],
    maxTokens: 8,
    logprobs: null,
    promptLogprobs: null,
    skipSpecialTokens: true,
    priority: 0,
    client: '',
    cacheSalt: '',
    arrivedAt: 0,
    queueDeadline: Number.POSITIVE_INFINITY,
    deadline: Number.POSITIVE_INFINITY,
    ...overrides,
    sampling: {
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
      seed: [0, 0],
      ...overrides.sampling,
    },
    stop: {
      strings: [],
      tokenIds: [],
      includeInOutput: false,
      ignoreEos: false,
      minTokens: 0,
      ...overrides.stop,
    },
  };
}
