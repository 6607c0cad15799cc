import type { SamplingParameters } from '../../sampling/sampling-request.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { CompletionRequest } from '../schemas/completion-request.ts';
import { checkTokenIds } from './vocabulary.ts';

function readLogitBias(bias: Record<string, number> | null, vocabSize: number): [number, number][] {
  const entries = Object.entries(bias ?? {}).map(([key, value]): [number, number] => {
    if (!/^\d{1,10}$/.test(key)) {
      throw invalidRequest(
        'logit_bias',
        '`logit_bias` must have token ids, whole numbers in quotes, as its keys.',
      );
    }
    return [Number(key), value];
  });
  const ids = entries.map(([id]) => id);
  checkTokenIds('logit_bias', ids, vocabSize);
  return entries;
}

/** How each token is chosen; the seed apart, which differs by choice. */
export function readSampling(body: CompletionRequest, vocabSize: number): Omit<SamplingParameters, 'seed'> {
  return {
    temperature: body.temperature ?? 1,
    topK: Math.max(0, body.top_k ?? 0),
    // 0 leaves the most likely token, as any number does that is smaller than its probability.
    topP: Math.max(Number.MIN_VALUE, body.top_p ?? 1),
    minP: body.min_p ?? 0,
    repetitionPenalty: body.repetition_penalty ?? 1,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    logitBias: readLogitBias(body.logit_bias ?? null, vocabSize),
    allowedTokens: null,
    badWords: [],
  };
}
