import { uniform } from '../../sampling/random.ts';

/** Returns the next number in (0, 1). */
export type RandomStream = () => number;

/** Each purpose has its own stream of random numbers, so that more draws for one do not change another. */
const purposes = { arrivals: 1, prompts: 2, 'prompt lengths': 3, 'output lengths': 4 } as const;

export function randomStream(seed: number, purpose: keyof typeof purposes): RandomStream {
  let draw = 0;
  return () => uniform([seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0], purposes[purpose], draw++);
}

/** Standard normal, by the Box-Muller transform. */
export function normal(random: RandomStream): number {
  return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
}

/** Gamma distribution with scale 1, by Marsaglia and Tsang ("A simple method for generating gamma variables", 2000). */
export function gamma(shape: number, random: RandomStream): number {
  if (shape < 1) return gamma(shape + 1, random) * random() ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(random()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}
