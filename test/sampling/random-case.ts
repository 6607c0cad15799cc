import {
  eachSamplingNumber,
  type NumberDeclaration,
  type SamplingNumber,
  type SamplingRequest,
  samplingNumbers,
} from '../../src/sampling/sampling-request.ts';
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

/** Values that a range alone would hardly ever give: the most common ones, and those near the limits of a double. */
const notable: Partial<Record<SamplingNumber, readonly number[]>> = {
  temperature: [1e-5, 1e-320],
  topK: [1, 2, 40, 700, 100_000],
  topP: [0, Number.MIN_VALUE, 0.999999],
};

/** Off in half of all cases; otherwise an end of the range, or a value anywhere in it or close to its lower end. */
function randomNumber(random: SeededRandom, name: SamplingNumber): number {
  const { neutral, type, minimum, exclusiveMinimum = 0, maximum }: NumberDeclaration = samplingNumbers[name];
  if (random.next() < 0.5) return neutral;
  const low = minimum ?? exclusiveMinimum;
  const between = (share: number) => {
    const value = low + ((maximum ?? 10) - low) * share;
    return type === 'integer' ? Math.round(value) : value;
  };
  const inside = [between(random.next()), between(10 ** (-6 * random.next()))];
  return pick(random, [...inside, minimum ?? neutral, maximum ?? neutral, ...(notable[name] ?? [])]);
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
      ...eachSamplingNumber((_, name) => randomNumber(random, name)),
      logitBias: pick(random, [[], [], [[token(), 4] as const, [token(), -100] as const]]),
      allowedTokens: pick(random, [null, null, null, tokens(6)]),
      badWords: pick(random, [[], [], [tokens(1), tokens(2)]]),
      seed: [random.below(2 ** 32), random.below(2 ** 32)],
    },
  });
}
