/**
 * The counts that the strip is made of, over all models.
 *
 * @typedef {object} Counts
 * @property {number} running
 * @property {number} waiting
 * @property {number} tokens generated so far
 * @property {number} steps decoded so far
 * @property {number} rows of these steps
 */

/** @type {Record<string, keyof Counts>} */
const names = {
  altup_requests_running: 'running',
  altup_requests_waiting: 'waiting',
  altup_generated_tokens_total: 'tokens',
  altup_step_batch_size_count: 'steps',
  altup_step_batch_size_sum: 'rows',
};

/**
 * Reads Prometheus' text format.
 *
 * @param {string} text
 * @returns {Counts | null} null: these are not the metrics of this service
 */
export function countsIn(text) {
  /** @type {Counts} */
  const counts = { running: 0, waiting: 0, tokens: 0, steps: 0, rows: 0 };
  if (!text.includes('# TYPE altup_requests_running gauge')) return null;
  for (const [, name = '', value] of text.matchAll(/^(altup_\w+)(?:\{.*\})? (\S+)$/gm)) {
    const count = names[name];
    if (count) counts[count] += Number(value);
  }
  return counts;
}

/**
 * What happened between two readings.
 *
 * @param {Counts} before
 * @param {Counts} now
 * @param {number} seconds between them
 * @returns {{ tokensPerSecond: number, batch: number | null } | null} null: the service has restarted
 */
export function between(before, now, seconds) {
  const tokens = now.tokens - before.tokens;
  const steps = now.steps - before.steps;
  if (tokens < 0 || steps < 0 || seconds <= 0) return null;
  return {
    tokensPerSecond: tokens / seconds,
    batch: steps === 0 ? null : (now.rows - before.rows) / steps,
  };
}
