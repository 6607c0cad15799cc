import type {
  EmbeddingRequest,
  GenerationRequest,
  StopConditions,
} from '../../src/engine/protocol/generation.ts';
import type { SamplingParameters } from '../../src/sampling/sampling-request.ts';
import { greedy } from '../../src/sampling/sampling-request.ts';

export interface RequestOverrides extends Partial<Omit<GenerationRequest, 'sampling' | 'stop'>> {
  sampling?: Partial<SamplingParameters>;
  stop?: Partial<StopConditions>;
}

/** A greedy request with every control off and no deadline; tests override only the fields they test. */
export function generationRequest(overrides: RequestOverrides = {}): GenerationRequest {
  return {
    task: 'generate',
    id: 'request',
    model: 'model',
    promptTokens: [5, 6, 7],
    completionPrefix: [],
    maxTokens: 8,
    logprobs: null,
    promptLogprobs: null,
    skipSpecialTokens: true,
    specialTexts: new Map(),
    isReproducible: false,
    priority: 0,
    client: '',
    cacheSalt: '',
    arrivedAt: 0,
    queuedAt: 0,
    queueDeadline: Number.POSITIVE_INFINITY,
    deadline: Number.POSITIVE_INFINITY,
    ...overrides,
    sampling: { ...greedy, ...overrides.sampling },
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

/** The same for an embedding. */
export function embeddingRequest(overrides: Partial<EmbeddingRequest> = {}): EmbeddingRequest {
  return {
    task: 'embed',
    id: 'embedding',
    model: 'model',
    promptTokens: [5, 6, 7],
    priority: 0,
    client: '',
    arrivedAt: 0,
    queuedAt: 0,
    queueDeadline: Number.POSITIVE_INFINITY,
    deadline: Number.POSITIVE_INFINITY,
    ...overrides,
  };
}
