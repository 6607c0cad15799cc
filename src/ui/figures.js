/** Times a stream as its reader sees it; all times are milliseconds on one clock. */
export class Figures {
  #sentAt;
  /** @type {number | null} */
  #firstAt = null;
  /** Tokens that came together with the first. */
  #firstCount = 0;
  #lastAt = 0;
  /** @type {number | null} */
  #endedAt = null;

  tokens = 0;

  /** @param {number} sentAt */
  constructor(sentAt) {
    this.#sentAt = sentAt;
  }

  /**
   * @param {number} count of all tokens so far
   * @param {number} at
   */
  counted(count, at) {
    if (count <= this.tokens) return;
    if (this.#firstAt === null) {
      this.#firstAt = at;
      this.#firstCount = count;
    }
    this.tokens = count;
    this.#lastAt = at;
  }

  /** @param {number} at */
  ended(at) {
    this.#endedAt = at;
  }

  get isEnded() {
    return this.#endedAt !== null;
  }

  /** From sending the request; null: none has come. */
  get firstTokenMs() {
    return this.#firstAt === null ? null : this.#firstAt - this.#sentAt;
  }

  /** From the first token to the last; null: fewer than two moments at which tokens came. */
  get tokensPerSecond() {
    if (this.#firstAt === null || this.#lastAt === this.#firstAt) return null;
    return ((this.tokens - this.#firstCount) / (this.#lastAt - this.#firstAt)) * 1000;
  }

  /** @param {number} now */
  totalMs(now) {
    return (this.#endedAt ?? now) - this.#sentAt;
  }
}
