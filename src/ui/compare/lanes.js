/** @import { Model } from '../models/servers.js' */

import { baselineOf } from '../models/model-choice.js';
import { ModelPicker } from '../models/model-picker.js';
import { nameOf } from '../models/servers.js';
import { copyOf, part } from '../part.js';

const letters = /** @type {const} */ (['A', 'B', 'C', 'D']);
const minLanes = 2;

/** @typedef {{ letter: string, model: Model }} Lane */

/** The models that are compared, two to four. */
export class Lanes {
  #place = part(document, 'heads', HTMLElement);
  #add = part(document, 'add-lane', HTMLButtonElement);
  /** @type {Head[]} */
  #heads = [];
  /** @type {readonly Model[]} */
  #models = [];

  constructor() {
    this.#add.addEventListener('click', () => {
      this.#grow();
      this.#heads.at(-1)?.focus();
    });
    for (let i = 0; i < minLanes; i++) this.#grow();
  }

  /** The chosen models; none until the list is read. @returns {Lane[]} */
  get chosen() {
    return this.#heads.flatMap(({ picker }, i) => {
      const letter = letters[i];
      return picker.chosen && letter ? [{ letter, model: picker.chosen }] : [];
    });
  }

  /** @param {readonly Model[]} models @param {Model | null} first the one to begin with */
  offer(models, first) {
    this.#models = models;
    const [head, ...others] = this.#heads;
    head?.picker.offer(models, first);
    for (const { picker } of others) picker.offer(models, this.#next(picker.chosen));
    this.#letter();
  }

  /** The model that is most worth comparing with those already chosen. @param {Model | null} before */
  #next(before) {
    const taken = this.chosen.map(({ model }) => model).filter((model) => model !== before);
    const free = this.#models.filter((model) => !taken.includes(model));
    const [first] = taken;
    if (!first) return free[0] ?? null;
    const cards = [first.card, ...free.map(({ card }) => card)];
    const id = baselineOf(cards, first.card.id);
    return free.find(({ card }) => card.id === id) ?? first;
  }

  #grow() {
    if (this.#heads.length === letters.length) return;
    const head = new Head(
      () => this.#remove(head),
      () => this.#letter(),
    );
    head.picker.offer(this.#models, this.#next(null));
    this.#heads.push(head);
    this.#place.append(head.element);
    this.#letter();
  }

  /** @param {Head} head */
  #remove(head) {
    this.#heads = this.#heads.filter((each) => each !== head);
    head.element.remove();
    this.#letter();
    this.#add.focus();
  }

  #letter() {
    for (const [i, head] of this.#heads.entries()) head.show(letters[i] ?? '', this.#heads.length > minLanes);
    this.#add.hidden = this.#heads.length === letters.length;
  }
}

/** A lane's model selector. */
class Head {
  element = copyOf('head');
  #select = part(this.element, 'model', HTMLSelectElement);

  /** @param {() => void} onRemove @param {() => void} onChange */
  constructor(onRemove, onChange) {
    this.picker = new ModelPicker(this.#select, part(this.element, 'about', HTMLElement), onChange);
    part(this.element, 'remove', HTMLButtonElement).addEventListener('click', onRemove);
  }

  focus() {
    this.#select.focus();
  }

  /** @param {string} letter @param {boolean} isRemovable */
  show(letter, isRemovable) {
    this.element.dataset.lane = letter;
    part(this.element, 'marker', HTMLElement).textContent = letter;
    this.#select.setAttribute('aria-label', `Model ${letter}`);
    const remove = part(this.element, 'remove', HTMLButtonElement);
    remove.hidden = !isRemovable;
    const { chosen } = this.picker;
    remove.setAttribute('aria-label', `Remove ${letter}${chosen ? `, ${nameOf(chosen)}` : ''}`);
  }
}
