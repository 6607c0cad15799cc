import { exponential } from '../../src/engine/exponential.ts';
import type { GenerationRequest } from '../../src/engine/generation.ts';
import { uniform } from '../../src/engine/random.ts';

/** The sampler written for reading: every step over whole sorted lists, penalties recounted from the history. */
export function naiveSample(
  raw: Float32Array,
  request: GenerationRequest,
  output: readonly number[],
  eosTokens: readonly number[],
): number {
  const { sampling, stop, promptTokens } = request;
  const logits = Array.from(raw);
  for (const [token, bias] of sampling.logitBias) logits[token]! += bias;
  if (output.length < stop.minTokens) {
    const ends = stop.ignoreEos ? stop.tokenIds : [...stop.tokenIds, ...eosTokens];
    for (const token of ends) logits[token] = Number.NEGATIVE_INFINITY;
  }
  if (sampling.allowedTokens) {
    for (const id of logits.keys())
      if (!sampling.allowedTokens.includes(id)) logits[id] = Number.NEGATIVE_INFINITY;
  }
  for (const word of sampling.badWords) {
    const beginning = word.slice(0, -1);
    const tail = output.slice(output.length - beginning.length);
    if (output.length >= beginning.length && beginning.every((token, i) => token === tail[i])) {
      logits[word.at(-1)!] = Number.NEGATIVE_INFINITY;
    }
  }
  for (const token of new Set([...promptTokens, ...output])) {
    const logit = logits[token]!;
    logits[token] = logit > 0 ? logit / sampling.repetitionPenalty : logit * sampling.repetitionPenalty;
  }
  for (const token of new Set(output)) {
    const count = output.filter((other) => other === token).length;
    logits[token]! -= sampling.presencePenalty + sampling.frequencyPenalty * count;
  }
  const sorted = logits.map((logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit || a.id - b.id);
  if (sampling.temperature === 0) return sorted[0]!.id;

  const highest = sorted[0]!.logit;
  let weighted = sorted.map(({ id, logit }) => ({
    id,
    weight: exponential((logit - highest) / sampling.temperature),
  }));
  weighted = weighted.filter(({ weight }) => weight >= sampling.minP);
  if (sampling.topK > 0) weighted = weighted.slice(0, sampling.topK);
  const byId = () => [...weighted].sort((a, b) => a.id - b.id);
  const total = () => byId().reduce((sum, { weight }) => sum + weight, 0);
  if (sampling.topP < 1) {
    const enough = sampling.topP * total();
    let sum = 0;
    let kept = 0;
    while (kept < weighted.length && (kept === 0 || sum < enough)) sum += weighted[kept++]!.weight;
    weighted = weighted.slice(0, kept);
  }
  const target = uniform(sampling.seed, output.length, 0) * total();
  let sum = 0;
  for (const { id, weight } of byId()) {
    sum += weight;
    if (sum > target) return id;
  }
  throw new Error('the cumulative sum never passed the target');
}
