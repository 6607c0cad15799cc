import { describe, expect, it } from 'vitest';
import { Sampler } from '../../src/sampling/sampler.ts';
import { NonFiniteLogitsError, NoTokenAllowedError } from '../../src/sampling/sampling-error.ts';
import { SamplingState } from '../../src/sampling/sampling-state.ts';
import { type SamplingOverrides, samplingRequest } from '../support/sampling-request.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { naiveSample } from './naive-sampler.ts';
import { randomLogits, randomSampling } from './random-case.ts';

const stateOf = (overrides: SamplingOverrides = {}) => new SamplingState(samplingRequest(overrides));

/** The sampled token; null if no token is allowed. */
function sampleOrNull(sampler: Sampler, logits: Float32Array, state: SamplingState): number | null {
  try {
    return sampler.sample(logits, state).token;
  } catch (error) {
    expect((error as Error).message).toMatch(/leave no possible next token/);
    return null;
  }
}

describe('Sampler', () => {
  it('chooses what the naive reference chooses', () => {
    const random = seededRandom(3);
    for (const vocabSize of [2, 7, 60, 500]) {
      const sampler = new Sampler(vocabSize);
      for (let round = 0; round < 250; round++) {
        const request = randomSampling(random, vocabSize);
        const state = new SamplingState(request);
        for (let position = 0; position < 8; position++) {
          const logits = randomLogits(random, vocabSize);
          const expected = naiveSample(logits, request, state.output);
          expect(sampleOrNull(sampler, logits, state), JSON.stringify(request)).toBe(expected);
          if (expected === null) break;
          expect(state.output.at(-1)).toBe(expected);
        }
      }
    }
  });

  it('leaves the logits as they are', () => {
    const logits = Float32Array.of(1, 2, 3);
    const state = stateOf({ parameters: { temperature: 1, topK: 2, logitBias: [[0, 5]] } });
    new Sampler(3).sample(logits, state);
    expect([...logits]).toEqual([1, 2, 3]);
  });

  it('is greedy at temperature 0, the lowest id of equal ones', () => {
    expect(new Sampler(5).sample(Float32Array.of(1, 3, 2, 3, 0), stateOf()).token).toBe(1);
  });

  it('forbids end tokens until minTokens and lets them pass then', () => {
    const state = stateOf({ minTokens: 2, endTokens: [1, 2] });
    const sampler = new Sampler(4);
    const sample = () => sampler.sample(Float32Array.of(0, 9, 8, 7), state).token;
    expect([sample(), sample(), sample()]).toEqual([3, 3, 1]);
  });

  it('takes allowed tokens only, and leaves out the end of a bad word', () => {
    const state = stateOf({ parameters: { allowedTokens: [1, 2, 3], badWords: [[1], [3, 3]] } });
    const sampler = new Sampler(5);
    const sample = () => sampler.sample(Float32Array.of(9, 8, 2, 7, 9), state).token;
    expect([sample(), sample(), sample()]).toEqual([3, 2, 3]);
  });

  it('says so when no token may come', () => {
    for (const temperature of [0, 1]) {
      const state = stateOf({
        endTokens: [1],
        minTokens: 1,
        parameters: { temperature, allowedTokens: [1] },
      });
      expect(() => new Sampler(3).sample(Float32Array.of(0, 1, 2), state)).toThrow(NoTokenAllowedError);
      expect(state.position).toBe(0);
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses a logit of %d',
    (bad) => {
      const sample = () => new Sampler(3).sample(Float32Array.of(0, bad, 1), stateOf());
      expect(sample).toThrow(NonFiniteLogitsError);
      expect(sample).toThrow(`a logit of ${bad} for token 1`);
    },
  );

  it('draws with the frequencies the distribution asks for', () => {
    const logits = Float32Array.of(0, 1, 2, -1, 0.5, 1.5);
    const sampler = new Sampler(6);
    const counts = new Array(6).fill(0);
    const draws = 30_000;
    for (let seed = 0; seed < draws; seed++) {
      const state = stateOf({ parameters: { temperature: 0.8, seed: [seed, 9] } });
      counts[sampler.sample(logits, state).token] += 1;
    }
    const weights = Array.from(logits, (logit) => Math.exp(logit / 0.8));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const chiSquare = counts.reduce((sum, count, id) => {
      const expected = (weights[id]! / total) * draws;
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // 99.9th percentile for 5 degrees of freedom.
    expect(chiSquare).toBeLessThan(20.5);
  });

  it('never draws what top_k, top_p or min_p exclude', () => {
    const probabilities = [0.05, 0.5, 0.25, 0.15, 0.05];
    const logits = Float32Array.from(probabilities, Math.log);
    const drawn = (sampling: object) => {
      const tokens = new Set<number>();
      for (let seed = 0; seed < 500; seed++) {
        const state = stateOf({ parameters: { temperature: 1, seed: [seed, 0], ...sampling } });
        tokens.add(new Sampler(5).sample(logits, state).token);
      }
      return [...tokens].sort();
    };
    expect(drawn({ topK: 2 })).toEqual([1, 2]);
    expect(drawn({ topP: 0.7 })).toEqual([1, 2]);
    expect(drawn({ topP: 0.76 })).toEqual([1, 2, 3]);
    expect(drawn({ minP: 0.28 })).toEqual([1, 2, 3]);
    expect(drawn({})).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('log probabilities', () => {
  it("are the model's own, whatever the request asks for, most likely first", () => {
    const logits = Float32Array.of(0.5, 2, 2, -1, 1);
    const state = stateOf({ logprobs: 3, parameters: { logitBias: [[3, 50]] } });
    const { token, logprobs } = new Sampler(5).sample(logits, state);
    const logSum = Math.log(Array.from(logits, Math.exp).reduce((sum, value) => sum + value, 0));
    expect(token).toBe(3);
    expect(logprobs!.logprob).toBeCloseTo(-1 - logSum, 12);
    expect(logprobs!.top.map((entry) => entry.token)).toEqual([1, 2, 4]);
    expect(logprobs!.top[2]!.logprob).toBeCloseTo(1 - logSum, 12);
  });

  it.each([false, true])('finds the most likely tokens of a large vocabulary, equal ones: %s', (hasEqual) => {
    const random = seededRandom(4);
    const logits = randomLogits(random, 3000, 20).map((logit) => (hasEqual ? Math.round(logit / 4) : logit));
    const { logprobs } = new Sampler(3000).sample(logits, stateOf({ logprobs: 20 }));
    const ids = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    expect(logprobs!.top.map((entry) => entry.token)).toEqual(ids.slice(0, 20));
  });

  it('are left out unless asked for; 0 asks for the token’s own', () => {
    const logprobs = (wanted: number | null) =>
      new Sampler(2).sample(Float32Array.of(0, 0), stateOf({ logprobs: wanted })).logprobs;
    expect(logprobs(null)).toBeNull();
    expect(logprobs(0)).toEqual({ logprob: Math.log(0.5), top: [] });
  });
});
