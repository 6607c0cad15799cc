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
  if (tokensPerSecond === 0) return '0';
  return tokensPerSecond < 9.95
    ? tokensPerSecond.toFixed(1)
    : Math.round(tokensPerSecond).toLocaleString('en');
}

/** @param {number} count */
export const tokenCount = (count) => `${count} ${count === 1 ? 'token' : 'tokens'}`;

/**
 * A generation's speed in a line.
 *
 * @param {Figures} figures
 */
export function figuresLine({ tokens, guessed, firstTokenMs, tokensPerSecond }) {
  if (firstTokenMs === null) return '';
  const speed = tokensPerSecond === null ? '' : ` · ${rate(tokensPerSecond)} tokens/s`;
  const guesses = guessed === 0 ? '' : `, ${guessed} guessed`;
  return `${tokenCount(tokens)}${guesses} · first after ${duration(firstTokenMs)}${speed}`;
}
