import type { SamplingState } from './sampling-state.ts';

/**
 * Applies what a request asks for before temperature, in place and in this order: logit bias, the end tokens forbidden
 * by minTokens, repetition penalty, presence and frequency penalty.
 */
export function adjustLogits(logits: Float64Array, state: SamplingState): void {
  const { logitBias, repetitionPenalty, presencePenalty, frequencyPenalty } = state.parameters;
  for (const [token, bias] of logitBias) logits[token]! += bias;
  for (const token of state.forbidden) logits[token] = Number.NEGATIVE_INFINITY;
  if (repetitionPenalty !== 1) {
    for (const token of state.seen) {
      const logit = logits[token]!;
      logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
  }
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    for (const [token, count] of state.counts) logits[token]! -= presencePenalty + frequencyPenalty * count;
  }
}
