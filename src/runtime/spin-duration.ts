/**
 * Microseconds for which operator threads look for work before they sleep. Longer than the gap between two operators of
 * a step, because waking takes as long as a small operator; shorter than the gap between two steps, when the HTTP
 * thread needs the core.
 */
export const spinDurationUs = '50';
