import { exponential } from './exponential.ts';
import { logarithm } from './logarithm.ts';
import type { PromptTokenLogprobs, TokenLogprobs } from './sampled-token.ts';

/**
 * Log-softmax of the model's own logits, before anything a request asks for.
 * @param alternatives how many of the most likely tokens to list; equal ones by lower id first
 */
export function tokenLogprobs(logits: Float32Array, token: number, alternatives: number): TokenLogprobs {
  const top = mostLikely(logits, alternatives);
  const logSum = logSumExp(logits);
  return {
    logprob: logits[token]! - logSum,
    top: top.map((id) => ({ token: id, logprob: logits[id]! - logSum })),
  };
}

/** The same for a token of the prompt. */
export function promptTokenLogprobs(
  logits: Float32Array,
  token: number,
  alternatives: number,
): PromptTokenLogprobs {
  const own = logits[token]!;
  let rank = 1;
  for (const logit of logits) if (logit > own) rank++;
  return { ...tokenLogprobs(logits, token, alternatives), rank };
}

function logSumExp(logits: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > highest) highest = logit;
  let sum = 0;
  for (const logit of logits) sum += exponential(logit - highest);
  return highest + logarithm(sum);
}

/** Ids of the `n` highest logits; n is small, so each goes straight to its place. */
function mostLikely(logits: Float32Array, n: number): number[] {
  const ids: number[] = [];
  if (n === 0) return ids;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (ids.length === n && logit <= logits[ids[n - 1]!]!) continue;
    if (ids.length === n) ids.pop();
    let place = ids.length;
    while (place > 0 && logits[ids[place - 1]!]! < logit) place--;
    ids.splice(place, 0, id);
  }
  return ids;
}
