/** @import { Model, Server } from './servers.js' */

import { describe } from './model-choice.js';

/** A model selector, grouped by server, with a line about the chosen model. */
export class ModelPicker {
  #select;
  #about;
  /** @type {readonly Model[]} */
  #models = [];

  /**
   * @param {HTMLSelectElement} select
   * @param {HTMLElement} about
   * @param {() => void} onChange
   */
  constructor(select, about, onChange) {
    this.#select = select;
    this.#about = about;
    select.addEventListener('change', () => {
      this.#describe();
      onChange();
    });
  }

  get chosen() {
    return this.#models.find((model) => keyOf(model) === this.#select.value) ?? null;
  }

  /**
   * Offers these models; keeps the previous choice if it is among them.
   *
   * @param {readonly Model[]} models
   * @param {Model | null} otherwise the model to choose if it is not
   */
  offer(models, otherwise) {
    const before = this.#select.value;
    this.#models = models;
    const servers = [...new Set(models.map(({ server }) => server))];
    const groups = servers.map((server) => {
      const options = models.filter((model) => model.server === server).map(optionOf);
      return servers.length === 1 ? options : [groupOf(server, options)];
    });
    this.#select.replaceChildren(...groups.flat());
    const kept = models.find((model) => keyOf(model) === before) ?? otherwise;
    if (kept) this.#select.value = keyOf(kept);
    this.#describe();
  }

  #describe() {
    this.#about.textContent = this.chosen ? describe(this.chosen.card) : '';
  }
}

/** Unlike model names, unique across servers. @param {Model} model */
const keyOf = ({ server, card }) => (server.name === '' ? card.id : `${server.name} ${card.id}`);

/** @param {Model} model */
function optionOf(model) {
  const { id, state } = model.card;
  const option = new Option(state === 'ready' ? id : `${id} (${state})`, keyOf(model));
  option.disabled = state === 'failed';
  return option;
}

/** @param {Server} server @param {HTMLOptionElement[]} options */
function groupOf({ name }, options) {
  const group = document.createElement('optgroup');
  group.label = name === '' ? 'This service' : name;
  group.append(...options);
  return group;
}
