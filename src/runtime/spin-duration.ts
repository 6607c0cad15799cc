/**
 * Microseconds for which threads of an operator look for work before they sleep: longer than the gap between two
 * operators of a step, as waking takes as long as a small one; shorter than the gap between two steps, in which the
 * HTTP thread needs the core.
 */
export const spinDurationUs = '50';
