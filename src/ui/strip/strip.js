/** @import { Api } from '../api/api.js' */
/** @import { Counts } from './metrics-text.js' */

import { ApiError } from '../api/api-error.js';
import { rate } from '../figures/figure-text.js';
import { part } from '../part.js';
import { between, countsIn } from './metrics-text.js';

/** Milliseconds between readings while the page is seen, and after one that failed. */
const everyMs = 2000;
const afterFailureMs = 15_000;

/** @param {string} name @param {string} text */
const show = (name, text) => {
  part(document, `strip-${name}`, HTMLElement).textContent = text;
};

/** What the service does at the moment, from its metrics. */
export class Strip {
  #api;
  /** @type {{ counts: Counts, at: number } | null} the reading before */
  #last = null;

  /** @param {Api} api */
  constructor(api) {
    this.#api = api;
  }

  /** Reads the metrics while the page is seen. */
  async start() {
    for (;;) {
      const isRead = document.hidden || (await this.#read());
      await new Promise((resolve) => setTimeout(resolve, isRead ? everyMs : afterFailureMs));
    }
  }

  /** @returns {Promise<boolean>} whether they could be read */
  async #read() {
    try {
      const counts = countsIn(await this.#api.metrics());
      this.#say(counts ? '' : 'No live figures: /metrics is not this service’s.');
      if (counts) this.#show(counts, performance.now());
      return counts !== null;
    } catch (error) {
      // The connection may break in the middle of the answer too.
      const isRefused = error instanceof ApiError && error.status !== null;
      this.#say(
        isRefused
          ? 'No live figures: /metrics is not open to this page.'
          : 'No live figures while the service does not answer.',
      );
      return false;
    }
  }

  /** @param {Counts} counts @param {number} at */
  #show(counts, at) {
    const change = this.#last && between(this.#last.counts, counts, (at - this.#last.at) / 1000);
    this.#last = { counts, at };
    show('running', String(counts.running));
    show('waiting', String(counts.waiting));
    show('rate', change ? rate(change.tokensPerSecond) : '–');
    show('batch', change?.batch ? change.batch.toFixed(1) : '–');
  }

  /** @param {string} note empty: all is well */
  #say(note) {
    part(document, 'strip', HTMLElement).hidden = note !== '';
    const place = part(document, 'strip-note', HTMLElement);
    place.hidden = note === '';
    place.textContent = note;
  }
}
