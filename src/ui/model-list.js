/** @import { Api, ModelCard } from './api.js' */

import { ApiError } from './api-error.js';

/** Milliseconds between reads while the list may change. */
const againMs = 2000;

/** The list of served models. */
export class ModelList {
  #api;
  #onRead;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {Api} api
   * @param {(models: readonly ModelCard[], error: ApiError | null) => void} onRead
   */
  constructor(api, onRead) {
    this.#api = api;
    this.#onRead = onRead;
  }

  /** Reads the list, and again regularly while a model is about to be ready or the service does not answer. */
  async read() {
    clearTimeout(this.#timer);
    let isSettled = true;
    try {
      const models = await this.#api.models();
      isSettled = !models.some(({ state }) => state === 'loading' || state === 'restarting');
      this.#onRead(models, null);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      isSettled = error.status !== null;
      this.#onRead([], error);
    }
    clearTimeout(this.#timer);
    if (!isSettled) this.#timer = setTimeout(() => this.read(), againMs);
  }
}
