/** @import { Api, ModelCard } from './api.js' */

import { ApiError } from './api-error.js';

/** How often the list is read again while that may change it. */
const againMs = 2000;

/** What is served, as far as it is known. */
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

  /** Reads it, and again from time to time while a model is about to be ready or the service does not answer. */
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
