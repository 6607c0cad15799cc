import { randomBytes } from 'node:crypto';

/** A seed as the sampler takes it: unsigned 64 bits in two halves, low first. */
export type Seed = readonly [low: number, high: number];

const goldenRatio = 0x9e3779b97f4a7c15n;

const halves = (value: bigint): Seed => [
  Number(value & 0xffffffffn),
  Number(BigInt.asUintN(64, value) >> 32n),
];

/** SplitMix64's finalizer: neighbours in, unrelated numbers out. */
function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/**
 * The seed of a prompt's choice `choice`. Choice 0 has the client's own, so that n = 1 and the first of several are
 * the same; the others differ from it and from each other. Without a seed: random.
 */
export function choiceSeed(seed: number | null, choice: number): Seed {
  if (seed === null) {
    const bytes = randomBytes(8);
    return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
  }
  const base = BigInt.asUintN(64, BigInt(seed));
  return halves(choice === 0 ? base : mix(base + BigInt(choice) * goldenRatio));
}
