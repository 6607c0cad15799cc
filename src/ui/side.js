/** @import { Api } from './api.js' */

import { Lane } from './lane.js';
import { LaneView } from './lane-view.js';
import { ModelPicker } from './model-picker.js';
import { part } from './part.js';

/** One of the two places for a model: its picker and its lane. */
export class Side {
  /** @param {Api} api @param {string} letter */
  constructor(api, letter) {
    this.picker = new ModelPicker(letter);
    this.view = new LaneView(letter);
    this.lane = new Lane(api, this.view, () => performance.now());
    part(document, 'lanes', HTMLElement).append(this.view.element);
  }

  /** @param {boolean} isShown */
  show(isShown) {
    this.picker.element.hidden = !isShown;
    this.view.element.hidden = !isShown;
  }

  /** Shows the chosen model's name above the lane. */
  entitle() {
    this.view.model = this.picker.chosen?.id ?? '';
  }
}
