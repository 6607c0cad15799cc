import { uniform } from '../../src/sampling/random.ts';
import type { SamplingRequest } from '../../src/sampling/sampling-request.ts';
import { topWeight, weight } from '../../src/sampling/weight.ts';

/** Whether the request forbids `token` after `output`. */
function isForbidden(token: number, output: readonly number[], request: SamplingRequest): boolean {
  const { allowedTokens, badWords } = request.parameters;
  if (allowedTokens && !allowedTokens.includes(token)) return true;
  if (output.length < request.minTokens && request.endTokens.includes(token)) return true;
  const text = `,${[...output, token].join(',')}`;
  return badWords.some((word) => text.endsWith(`,${word.join(',')}`));
}

/**
 * A sampler written for readability: each step works on whole sorted lists and recounts penalties from the history.
 * @returns null if no token is allowed
 */
export function naiveSample(
  raw: Float32Array,
  request: SamplingRequest,
  output: readonly number[],
): number | null {
  const { parameters, promptTokens } = request;
  const logits = Array.from(raw);
  for (const [token, bias] of parameters.logitBias) logits[token]! += bias;
  for (const token of logits.keys()) {
    if (isForbidden(token, output, request)) logits[token] = Number.NEGATIVE_INFINITY;
  }
  for (const token of new Set([...promptTokens, ...output])) {
    const logit = logits[token]!;
    const { repetitionPenalty } = parameters;
    logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
  }
  for (const token of new Set(output)) {
    const count = output.filter((other) => other === token).length;
    logits[token]! -= parameters.presencePenalty + parameters.frequencyPenalty * count;
  }
  const sorted = logits.map((logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit || a.id - b.id);
  const highest = sorted[0]!.logit;
  if (highest === Number.NEGATIVE_INFINITY) return null;
  if (parameters.temperature === 0) return sorted[0]!.id;

  const isPossible = (logit: number) => logit > Number.NEGATIVE_INFINITY;
  // In the order of the samplers: every eighth token first.
  const sumOf = (term: (logit: number) => number) => {
    const terms = logits.map((logit) => (isPossible(logit) ? term(logit) : 0));
    const eighths = [0, 1, 2, 3, 4, 5, 6, 7].map((lane) => terms.filter((_, id) => id % 8 === lane));
    return eighths.reduce((total, lane) => total + lane.reduce((sum, value) => sum + value, 0), 0);
  };
  const count = logits.filter(isPossible).length;
  const mean = sumOf((logit) => logit) / count;
  const deviation = Math.sqrt(sumOf((logit) => (logit - mean) * (logit - mean)) / count);
  const { topNSigma } = parameters;
  const least = topNSigma > 0 ? highest - topNSigma * deviation : Number.NEGATIVE_INFINITY;

  const top = topWeight(raw.length);
  let weighted = sorted
    .filter(({ logit }) => logit >= least)
    .map(({ id, logit }) => ({
      id,
      weight: weight((logit - highest) / parameters.temperature, top),
    }));
  weighted = weighted.filter(({ weight }) => weight >= parameters.minP * top);
  if (parameters.topK > 0) weighted = weighted.slice(0, parameters.topK);
  const byId = () => [...weighted].sort((a, b) => a.id - b.id);
  const total = () => byId().reduce((sum, { weight }) => sum + weight, 0);
  if (parameters.topP < 1) {
    const enough = parameters.topP * total();
    let sum = 0;
    let kept = 0;
    while (kept < weighted.length && (kept === 0 || sum < enough)) sum += weighted[kept++]!.weight;
    weighted = weighted.slice(0, kept);
  }
  const target = uniform(parameters.seed, output.length, 0) * total();
  let sum = 0;
  for (const { id, weight } of byId()) {
    sum += weight;
    if (sum > target) return id;
  }
  throw new Error('the cumulative sum never passed the target');
}
