/** @import { Figures } from './figures.js' */

/** @param {number | null} milliseconds */
export function duration(milliseconds) {
  if (milliseconds === null) return '–';
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** @param {number | null} tokensPerSecond */
export function rate(tokensPerSecond) {
  if (tokensPerSecond === null) return '–';
  return tokensPerSecond < 9.95
    ? tokensPerSecond.toFixed(1)
    : Math.round(tokensPerSecond).toLocaleString('en');
}

/** @param {number} count */
export const tokenCount = (count) => `${count} ${count === 1 ? 'token' : 'tokens'}`;

/**
 * Compares the first of two streams with the second; null if one of them has no rate.
 *
 * @param {Figures} a
 * @param {Figures} b
 * @returns {string | null}
 */
export function comparison(a, b) {
  const [rateA, rateB] = [a.tokensPerSecond, b.tokensPerSecond];
  if (rateA === null || rateB === null) return null;
  const later = /** @type {number} */ (a.firstTokenMs) - /** @type {number} */ (b.firstTokenMs);
  const first =
    Math.abs(later) < 0.5
      ? 'their first tokens came at the same time'
      : `its first token came ${duration(Math.abs(later))} ${later < 0 ? 'sooner' : 'later'}`;
  return `A wrote ${(rateA / rateB).toFixed(2)}× as many tokens per second as B; ${first}.`;
}
