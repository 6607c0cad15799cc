import type { SamplingRequest } from '../../src/sampling/sampling-request.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

const pick = <T>(random: SeededRandom, choices: readonly T[]) => choices[random.below(choices.length)]!;

/** Random logits, in some rounds on a coarse grid, so that equal values are common. */
export function randomLogits(random: SeededRandom, vocabSize: number, spread?: number): Float32Array {
  const width = spread ?? pick(random, [0.01, 1, 5, 30, 1000]);
  const isCoarse = random.next() < 0.3;
  return Float32Array.from({ length: vocabSize }, () => {
    const logit = (random.next() + random.next() - 1) * width;
    return isCoarse ? Math.round(logit) : logit;
  });
}

/** A random sampling request: each control is on or off, mild or extreme. */
export function randomSampling(random: SeededRandom, vocabSize: number): SamplingRequest {
  const token = () => random.below(vocabSize);
  const tokens = (count: number) => Array.from({ length: count }, token);
  return samplingRequest({
    promptTokens: tokens(3),
    endTokens: pick(random, [[], [1], [token()], [1, token()]]),
    minTokens: pick(random, [0, 0, 4]),
    logprobs: pick(random, [null, null, 0, 5]),
    parameters: {
      temperature: pick(random, [0, 0.1, 0.7, 1, 1.3, 2, 1e-5, 1e-320]),
      topK: pick(random, [0, 0, 1, 2, 5, 40, 700, 100_000]),
      topP: pick(random, [1, 1, 0.95, 0.5, 0.1, 0.001, 0.999999, Number.MIN_VALUE]),
      minP: pick(random, [0, 0, 0.02, 0.3, 1]),
      repetitionPenalty: pick(random, [1, 1, 1.3, 0.8, 100]),
      presencePenalty: pick(random, [0, 0, 0.5, -1]),
      frequencyPenalty: pick(random, [0, 0, 0.7, -0.2]),
      logitBias: pick(random, [[], [], [[token(), 4] as const, [token(), -100] as const]]),
      allowedTokens: pick(random, [null, null, null, tokens(6)]),
      badWords: pick(random, [[], [], [tokens(1), tokens(2)]]),
      seed: [random.below(2 ** 32), random.below(2 ** 32)],
    },
  });
}
