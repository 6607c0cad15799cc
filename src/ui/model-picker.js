/** @import { ModelCard } from './api.js' */

import { describe } from './model-choice.js';
import { part } from './part.js';

/** A model selector, with a line about the chosen model. */
export class ModelPicker {
  #select;
  #about;
  element;
  /** @type {readonly ModelCard[]} */
  #models = [];

  /** @param {string} letter */
  constructor(letter) {
    this.element = part(document, `picker-${letter}`, HTMLElement);
    this.#select = part(document, `model-${letter}`, HTMLSelectElement);
    this.#about = part(document, `about-${letter}`, HTMLElement);
    this.#select.addEventListener('change', () => this.#describe());
  }

  get chosen() {
    return this.#models.find(({ id }) => id === this.#select.value) ?? null;
  }

  /**
   * Offers these models; keeps the previous choice if it is among them.
   *
   * @param {readonly ModelCard[]} models
   * @param {string | null} otherwise id of the model to choose if it is not
   */
  offer(models, otherwise) {
    const before = this.#select.value;
    this.#models = models;
    this.#select.replaceChildren(
      ...models.map(({ id, state }) => {
        const option = new Option(state === 'ready' ? id : `${id} (${state})`, id);
        option.disabled = state === 'failed';
        return option;
      }),
    );
    const kept = models.some(({ id }) => id === before) ? before : otherwise;
    if (kept !== null) this.#select.value = kept;
    this.#describe();
  }

  #describe() {
    this.#about.textContent = this.chosen ? describe(this.chosen) : '';
  }
}
