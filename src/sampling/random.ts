/**
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011). A number depends only on its seed and place, so no request needs generator state and nothing else in
 * the batch can change it.
 */

type Words4 = [number, number, number, number];

const multipliers = [0xd2511f53, 0xcd9e8d57] as const;
const weyl = [0x9e3779b9, 0xbb67ae85] as const;
const rounds = 10;

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit numbers, by 16-bit halves. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const crossed = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(crossed / 0x10000)) >>> 0;
}

/** @returns four unsigned 32-bit numbers */
export function philox4x32(counter: Readonly<Words4>, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multipliers[0], c0);
    const low0 = Math.imul(multipliers[0], c0);
    const high1 = multiplyHigh(multipliers[1], c2);
    const low1 = Math.imul(multipliers[1], c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + weyl[0]) >>> 0;
    k1 = (k1 + weyl[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/**
 * Uniform in (0, 1) without the ends: the middles of 2^52 equal intervals.
 * @param seed unsigned 64-bit as two 32-bit halves, low first
 * @param position of the token in the completion, from 0
 * @param draw index of the number at this position, from 0
 */
export function uniform(seed: readonly [low: number, high: number], position: number, draw: number): number {
  const [first, second] = philox4x32([position >>> 0, draw >>> 0, 0, 0], [seed[0] >>> 0, seed[1] >>> 0]);
  const interval = (first >>> 6) * 2 ** 26 + (second >>> 6);
  return (interval + 0.5) * 2 ** -52;
}
