import type { PromptTokenLogprobs, TokenLogprobs } from './sampled-token.ts';
import { NonFiniteLogitsError } from './sampling-error.ts';
import { topWeight, weight } from './weight.ts';

/**
 * Natural logarithm of a positive finite normal number, with only +, −, ×, ÷ and the bits of a double, for the reason
 * in exponential.ts.
 *
 * Method: x = 2^k · m with m in [√½, √2); log m = 2·artanh(s) with s = (m − 1) / (m + 1), |s| < 0.172, by its series to
 * s^23, whose remainder is below 2^-60 of the result. ln 2 is split into two parts; the first ends with 21 zero bits,
 * so that k times it is exact.
 */

const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

/** 1/23, 1/21, … 1/1. */
const coefficients = Float64Array.from({ length: 12 }, (_, i) => 1 / (23 - 2 * i));

const double = new Float64Array(1);
const bits = new BigUint64Array(double.buffer);

export function logarithm(x: number): number {
  double[0] = x;
  let k = Number(bits[0]! >> 52n) - 1023;
  bits[0] = (bits[0]! & 0xfffffffffffffn) | 0x3ff0000000000000n;
  let m = double[0]!;
  if (m > Math.SQRT2) {
    m *= 0.5;
    k += 1;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum = coefficients[0]!;
  for (let i = 1; i < 12; i++) sum = sum * square + coefficients[i]!;
  return k * ln2High + (2 * s * sum + k * ln2Low);
}

/**
 * Log-softmax of the model's own logits, before any request parameters apply.
 * @param alternatives number of most likely tokens to list; on a tie, the lower id first
 */
export function tokenLogprobs(logits: Float32Array, token: number, alternatives: number): TokenLogprobs {
  const top = mostLikely(logits, alternatives);
  const logSum = logSumExp(logits);
  return {
    logprob: logits[token]! - logSum,
    top: top.map((id) => ({ token: id, logprob: logits[id]! - logSum })),
  };
}

/**
 * The same for a prompt token, with its rank.
 * @throws NonFiniteLogitsError
 */
export function promptTokenLogprobs(
  logits: Float32Array,
  token: number,
  alternatives: number,
): PromptTokenLogprobs {
  const own = logits[token]!;
  let rank = 1;
  for (const [id, logit] of logits.entries()) {
    if (!Number.isFinite(logit)) throw new NonFiniteLogitsError(id, logit);
    if (logit > own) rank++;
  }
  return { ...tokenLogprobs(logits, token, alternatives), rank };
}

function logSumExp(logits: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > highest) highest = logit;
  const top = topWeight(logits.length);
  let sum = 0;
  for (const logit of logits) sum += weight(logit - highest, top);
  return highest + logarithm(sum / top);
}

/** Ids of the `n` highest logits, by insertion, because n is small. */
function mostLikely(logits: Float32Array, n: number): number[] {
  const ids: number[] = [];
  if (n === 0) return ids;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (ids.length === n && logit <= logits[ids[n - 1]!]!) continue;
    if (ids.length === n) ids.pop();
    let place = ids.length;
    while (place > 0 && logits[ids[place - 1]!]! < logit) place--;
    ids.splice(place, 0, id);
  }
  return ids;
}
