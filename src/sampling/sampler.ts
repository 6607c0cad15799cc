import { Candidates } from './candidates.ts';
import { uniform } from './random.ts';
import type { SampledToken } from './sampled-token.ts';
import { NonFiniteLogitsError, NoTokenAllowedError } from './sampling-error.ts';
import type { SamplingState } from './sampling-state.ts';
import { tokenLogprobs } from './token-logprobs.ts';

/**
 * Chooses next tokens in this order: logit bias, allowed and forbidden tokens, penalties; then greedy (temperature 0:
 * the highest logit, on a tie the lowest id), or top_n_sigma, temperature, min_p, top_k, top_p and a draw. All
 * arithmetic is double precision in a fixed order, with + − × ÷ √ only, so a request's tokens depend only on its logits,
 * parameters and seed.
 */
export class Sampler {
  readonly #logits: Float64Array;
  readonly #candidates: Candidates;

  constructor(vocabSize: number) {
    this.#logits = new Float64Array(vocabSize);
    this.#candidates = new Candidates(vocabSize);
  }

  /**
   * @param raw the model's logits for the next position, one per token of the vocabulary; not changed
   * @param state advances by the token
   * @throws SamplingError
   */
  sample(raw: Float32Array, state: SamplingState): SampledToken {
    this.#take(raw);
    adjustLogits(this.#logits, state);
    const token = state.parameters.temperature === 0 ? this.#highest() : this.#draw(state);
    // A chosen −∞ means that all logits are −∞.
    if (this.#logits[token] === Number.NEGATIVE_INFINITY) {
      throw new NoTokenAllowedError();
    }
    const logprobs = state.alternatives === null ? null : tokenLogprobs(raw, token, state.alternatives);
    state.record(token);
    return { token, logprobs };
  }

  #take(raw: Float32Array): void {
    if (raw.length !== this.#logits.length) {
      throw new Error(`${raw.length} logits for a vocabulary of ${this.#logits.length}`);
    }
    for (let id = 0; id < raw.length; id++) {
      const logit = raw[id]!;
      if (!Number.isFinite(logit)) throw new NonFiniteLogitsError(id, logit);
      this.#logits[id] = logit;
    }
  }

  #highest(): number {
    let best = 0;
    for (let id = 1; id < this.#logits.length; id++) if (this.#logits[id]! > this.#logits[best]!) best = id;
    return best;
  }

  #draw(state: SamplingState): number {
    const { topNSigma, temperature, minP, topK, topP, seed } = state.parameters;
    const candidates = this.#candidates;
    candidates.load(this.#logits);
    // The steps before top_k keep the order, so it can go first and save exponentials.
    if (topK > 0) candidates.keepHighest(topK);
    if (topNSigma > 0)
      candidates.keepAtLeast(this.#logits[this.#highest()]! - topNSigma * deviation(this.#logits));
    candidates.weigh(temperature);
    if (minP > 0) candidates.keepLikely(minP);
    if (topP < 1) candidates.keepNucleus(topP);
    return candidates.draw(uniform(seed, state.position, 0));
  }
}

/**
 * Applies a request's changes before temperature, in place and in this order: logit bias, allowed and forbidden tokens,
 * repetition penalty, presence and frequency penalty.
 */
function adjustLogits(logits: Float64Array, state: SamplingState): void {
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

/** Standard deviation of the logits above −∞. */
function deviation(logits: Float64Array): number {
  const count = sum(logits, () => 1);
  const mean = sum(logits, (logit) => logit) / count;
  const squares = sum(logits, (logit) => (logit - mean) * (logit - mean));
  return Math.sqrt(squares / count);
}

/** Sum over the logits above −∞: first in eight lanes of every eighth token, as the native sampler adds side by side. */
function sum(logits: Float64Array, term: (logit: number) => number): number {
  const lanes = new Float64Array(8);
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! > Number.NEGATIVE_INFINITY) lanes[id % 8]! += term(logits[id]!);
  }
  return lanes.reduce((total, lane) => total + lane, 0);
}

function keepOnly(logits: Float64Array, tokens: readonly number[]): void {
  const kept = tokens.map((token) => logits[token]!);
  logits.fill(Number.NEGATIVE_INFINITY);
  tokens.forEach((token, i) => {
    logits[token] = kept[i]!;
  });
}
