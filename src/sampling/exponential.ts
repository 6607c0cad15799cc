/**
 * exp() that uses only +, −, ×, floor and a table of powers of two. IEEE 754 specifies all of these exactly, so every
 * language computes the same bits. (Math.exp is implementation-defined.)
 *
 * Method (Cody and Waite): x = k·ln 2 + r with |r| ≤ ln 2 / 2, exp(x) = 2^k · exp(r); exp(r) by its Taylor series to
 * r^13 / 13!, whose remainder is below 2^-57. ln 2 is split into two parts; the first ends with 21 zero bits, so that k
 * times it is exact.
 */

const log2e = Math.LOG2E;
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

/** Smallest and largest argument with a result that is neither 0 nor infinite. */
const lowest = -745.1332191019411;
const highest = 709.782712893384;

/** 1/13!, 1/12!, … 1/0!; each division rounds once. */
const coefficients = (() => {
  const reciprocals = new Float64Array(14);
  let factorial = 1;
  for (let n = 0; n <= 13; n++) {
    if (n > 0) factorial *= n;
    reciprocals[13 - n] = 1 / factorial;
  }
  return reciprocals;
})();

const smallestPower = -1074;
/** 2^-1074 … 2^1023, by doubling: exact. */
const powersOfTwo = (() => {
  const powers = new Float64Array(1023 - smallestPower + 1);
  powers[0] = Number.MIN_VALUE;
  for (let i = 1; i < powers.length; i++) powers[i] = powers[i - 1]! * 2;
  return powers;
})();

export function exponential(x: number): number {
  if (x < lowest) return 0;
  if (x > highest) return Number.POSITIVE_INFINITY;
  const k = Math.floor(x * log2e + 0.5);
  const r = x - k * ln2High - k * ln2Low;
  let sum = coefficients[0]!;
  for (let i = 1; i < 14; i++) sum = sum * r + coefficients[i]!;
  // 2^1024 and 2^-1075 are not representable, so both take two exact steps.
  if (k > 1023) return sum * 2 * powersOfTwo[1022 - smallestPower + (k - 1023)]!;
  if (k < smallestPower) return sum * 0.5 * powersOfTwo[0]!;
  return sum * powersOfTwo[k - smallestPower]!;
}
