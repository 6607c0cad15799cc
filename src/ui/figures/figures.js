/** @import { RequestMetrics } from '../api/api.js' */

/**
 * Minimum milliseconds for a rate. Tokens may arrive many at a time, when a proxy or the page itself is busy; over a
 * shorter time, their arrivals say nothing about the model's speed.
 */
const minRateMs = 250;

/**
 * Speed of a stream: as its reader sees it while it runs, then by the service's own timings. All times are milliseconds
 * on one clock.
 */
export class Figures {
  #sentAt;
  /** @type {number | null} */
  #firstAt = null;
  /** Tokens that came together with the first. */
  #firstCount = 0;
  #lastAt = 0;
  /** @type {number | null} */
  #endedAt = null;
  /** @type {RequestMetrics | null} */
  #measured = null;

  tokens = 0;
  /** Tokens that prompt lookup or a draft guessed, so that they took no step of their own. */
  guessed = 0;

  /** @param {number} sentAt */
  constructor(sentAt) {
    this.#sentAt = sentAt;
  }

  /**
   * @param {number} count of all tokens so far; 0: the server counts them at the end
   * @param {number} at
   * @param {boolean} hasText false: only the count came
   */
  counted(count, at, hasText = true) {
    const isNew = count > this.tokens;
    if (!isNew && (count > 0 || !hasText)) return;
    const isFirst = this.#firstAt === null;
    this.#firstAt ??= at;
    if (hasText || isFirst) this.#lastAt = at;
    if (!isNew) return;
    // What came before the count began with one token.
    if (this.#firstCount === 0) this.#firstCount = isFirst ? count : 1;
    this.tokens = count;
  }

  /** @param {number} at */
  ended(at) {
    this.#endedAt = at;
  }

  get isEnded() {
    return this.#endedAt !== null;
  }

  /** @param {RequestMetrics} metrics from the end of the stream */
  measured(metrics) {
    this.#measured = metrics;
  }

  /** Whether the server itself timed the answer. */
  get isMeasured() {
    return this.#measured !== null;
  }

  /** From sending the request to the first token; null before that token. */
  get firstTokenMs() {
    if (this.#firstAt === null) return null;
    return this.#measured?.time_to_first_token_ms ?? this.#firstAt - this.#sentAt;
  }

  /** From the first token to the last; null if there are too few tokens or too little time to tell. */
  get tokensPerSecond() {
    if (this.#measured) {
      const { mean_itl_ms: gapMs } = this.#measured;
      return gapMs === null || gapMs <= 0 ? null : 1000 / gapMs;
    }
    if (this.#firstAt === null || this.#lastAt - this.#firstAt < minRateMs) return null;
    return ((this.tokens - this.#firstCount) / (this.#lastAt - this.#firstAt)) * 1000;
  }

  /** @param {number} now */
  totalMs(now) {
    return (this.#endedAt ?? now) - this.#sentAt;
  }
}
