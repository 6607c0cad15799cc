import type { SamplingState } from './sampling-state.ts';

/**
 * Applies what a request asks for before temperature, in place and in this order: logit bias, the tokens that may not
 * come, repetition penalty, presence and frequency penalty.
 */
export function adjustLogits(logits: Float64Array, state: SamplingState): void {
  const { logitBias, allowedTokens, repetitionPenalty, presencePenalty, frequencyPenalty } = state.parameters;
  for (const [token, bias] of logitBias) logits[token]! += bias;
  if (allowedTokens !== null) keepOnly(logits, allowedTokens);
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

function keepOnly(logits: Float64Array, tokens: readonly number[]): void {
  const kept = tokens.map((token) => logits[token]!);
  logits.fill(Number.NEGATIVE_INFINITY);
  tokens.forEach((token, i) => {
    logits[token] = kept[i]!;
  });
}
