import { describe, expect, it } from 'vitest';
import { NonFiniteLogitsError, NoTokenAllowedError, Sampler } from '../../src/engine/sampler.ts';
import { SamplingState } from '../../src/engine/sampling-state.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';
import { type SeededRandom, seededRandom } from '../support/seeded-random.ts';
import { naiveSample } from './naive-sampler.ts';

const eosTokens = [1];

/** Logits on a coarse grid in part of the rounds, so that equal values are common. */
function randomLogits(random: SeededRandom, vocabSize: number, spread: number): Float32Array {
  const isCoarse = random.next() < 0.3;
  return Float32Array.from({ length: vocabSize }, () => {
    const logit = (random.next() + random.next() - 1) * spread;
    return isCoarse ? Math.round(logit) : logit;
  });
}

const pick = <T>(random: SeededRandom, choices: readonly T[]) => choices[random.below(choices.length)]!;

function randomRequest(random: SeededRandom, vocabSize: number): RequestOverrides {
  const token = () => random.below(vocabSize);
  return {
    promptTokens: [token(), token(), token()],
    sampling: {
      temperature: pick(random, [0, 0.1, 0.7, 1, 1.3, 2]),
      topK: pick(random, [0, 0, 1, 2, 5, 40, 100_000]),
      topP: pick(random, [1, 1, 0.95, 0.5, 0.1, 0.001, 0.999999]),
      minP: pick(random, [0, 0, 0.02, 0.3, 1]),
      repetitionPenalty: pick(random, [1, 1, 1.3, 0.8]),
      presencePenalty: pick(random, [0, 0, 0.5, -1]),
      frequencyPenalty: pick(random, [0, 0, 0.7, -0.2]),
      logitBias: pick(random, [[], [], [[token(), 4] as const, [token(), -100] as const]]),
      allowedTokens: pick(random, [null, null, Array.from({ length: 6 }, (_, i) => (i + 3) % vocabSize)]),
      badWords: pick(random, [[], [], [[token(), token()]], [[token()]]]),
      seed: [random.below(2 ** 32), random.below(2 ** 32)],
    },
    stop: {
      tokenIds: pick(random, [[], [token()]]),
      minTokens: pick(random, [0, 0, 4]),
      ignoreEos: random.next() < 0.5,
    },
  };
}

describe('Sampler', () => {
  it('chooses what the naive reference chooses', () => {
    const random = seededRandom(3);
    for (const vocabSize of [2, 7, 60, 500]) {
      const sampler = new Sampler(vocabSize);
      for (let round = 0; round < 250; round++) {
        const request = generationRequest(randomRequest(random, vocabSize));
        if (vocabSize === 2) {
          request.stop.minTokens = 0;
          request.sampling.badWords = [];
        }
        const state = new SamplingState(request, eosTokens);
        const output: number[] = [];
        for (let position = 0; position < 8; position++) {
          const logits = randomLogits(random, vocabSize, pick(random, [1, 5, 30]));
          const { token } = sampler.sample(logits, state);
          expect(token, JSON.stringify(request)).toBe(naiveSample(logits, request, output, eosTokens));
          output.push(token);
          state.record(token);
        }
      }
    }
  });

  it('leaves the logits as they are', () => {
    const logits = Float32Array.of(1, 2, 3);
    const request = generationRequest({ sampling: { temperature: 1, topK: 2, logitBias: [[0, 5]] } });
    new Sampler(3).sample(logits, new SamplingState(request, []));
    expect([...logits]).toEqual([1, 2, 3]);
  });

  it('is greedy at temperature 0, the lowest id of equal ones', () => {
    const state = new SamplingState(generationRequest(), eosTokens);
    expect(new Sampler(5).sample(Float32Array.of(1, 3, 2, 3, 0), state).token).toBe(1);
  });

  it('forbids end tokens until minTokens and lets them pass then', () => {
    const request = generationRequest({ stop: { minTokens: 2, tokenIds: [2] } });
    const state = new SamplingState(request, [1]);
    const sampler = new Sampler(4);
    const tokens = [0, 1, 2].map(() => {
      const { token } = sampler.sample(Float32Array.of(0, 9, 8, 7), state);
      state.record(token);
      return token;
    });
    expect(tokens).toEqual([3, 3, 1]);
  });

  it('says so where nothing may come next', () => {
    const state = new SamplingState(
      generationRequest({ sampling: { allowedTokens: [2], badWords: [[2]] } }),
      eosTokens,
    );
    expect(() => new Sampler(4).sample(new Float32Array(4), state)).toThrow(NoTokenAllowedError);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses a logit of %d',
    (bad) => {
      const state = new SamplingState(generationRequest(), []);
      expect(() => new Sampler(3).sample(Float32Array.of(0, bad, 1), state)).toThrow(NonFiniteLogitsError);
      expect(() => new Sampler(3).sample(Float32Array.of(0, bad, 1), state)).toThrow(/token 1/);
    },
  );

  it('draws with the frequencies the distribution asks for', () => {
    const logits = Float32Array.of(0, 1, 2, -1, 0.5, 1.5);
    const sampler = new Sampler(6);
    const counts = new Array(6).fill(0);
    const draws = 30_000;
    for (let seed = 0; seed < draws; seed++) {
      const request = generationRequest({ sampling: { temperature: 0.8, seed: [seed, 9] } });
      counts[sampler.sample(logits, new SamplingState(request, [])).token] += 1;
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
        const request = generationRequest({ sampling: { temperature: 1, seed: [seed, 0], ...sampling } });
        tokens.add(new Sampler(5).sample(logits, new SamplingState(request, [])).token);
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
    const request = generationRequest({ logprobs: 3, sampling: { temperature: 0, logitBias: [[3, 50]] } });
    const { token, logprobs } = new Sampler(5).sample(logits, new SamplingState(request, []));
    const logSum = Math.log(Array.from(logits, Math.exp).reduce((sum, value) => sum + value, 0));
    expect(token).toBe(3);
    expect(logprobs!.logprob).toBeCloseTo(-1 - logSum, 12);
    expect(logprobs!.top.map((entry) => entry.token)).toEqual([1, 2, 4]);
    expect(logprobs!.top[2]!.logprob).toBeCloseTo(1 - logSum, 12);
  });

  it.each([false, true])('finds the most likely tokens of a large vocabulary, equal ones: %s', (hasEqual) => {
    const random = seededRandom(4);
    const logits = randomLogits(random, 3000, 20).map((logit) => (hasEqual ? Math.round(logit / 4) : logit));
    const request = generationRequest({ logprobs: 20 });
    const { logprobs } = new Sampler(3000).sample(logits, new SamplingState(request, []));
    const ids = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    expect(logprobs!.top.map((entry) => entry.token)).toEqual(ids.slice(0, 20));
  });

  it('are left out unless asked for; 0 asks for the token’s own', () => {
    const logprobs = (wanted: number | null) => {
      const state = new SamplingState(generationRequest({ logprobs: wanted }), []);
      return new Sampler(2).sample(Float32Array.of(0, 0), state).logprobs;
    };
    expect(logprobs(null)).toBeNull();
    expect(logprobs(0)).toEqual({ logprob: Math.log(0.5), top: [] });
  });
});
