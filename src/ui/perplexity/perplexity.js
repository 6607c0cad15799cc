/** @import { Lane, Lanes } from '../compare/lanes.js' */
/** @import { Score } from './score.js' */

import { ApiError } from '../api/api-error.js';
import { cell, laneRow } from '../compare/summary.js';
import { showError } from '../errors/notice.js';
import { nameOf } from '../models/servers.js';
import { copyOf, part } from '../part.js';
import { RunButtons, reveal } from '../run-buttons.js';
import { showLegend, showTokens } from '../tokens/token-text.js';
import { score } from './score.js';

/** How well the compared models predict a text. */
export class Perplexity {
  #lanes;
  #results = part(document, 'scores', HTMLElement);
  #buttons = new RunButtons('measure', 'measure-stop');

  /** @param {Lanes} lanes */
  constructor(lanes) {
    this.#lanes = lanes;
    part(document, 'perplexity-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#measure();
    });
  }

  async #measure() {
    const lanes = this.#lanes.chosen;
    if (this.#buttons.isRunning || lanes.length === 0) return;
    const signal = this.#buttons.start();
    const context = part(document, 'context-text', HTMLTextAreaElement).value;
    const text = part(document, 'scored-text', HTMLTextAreaElement).value;
    const rows = lanes.map(laneRow);
    const texts = lanes.map(textOf);
    part(document, 'score-table', HTMLElement).replaceChildren(...rows);
    part(document, 'score-texts', HTMLElement).replaceChildren(...texts);
    showLegend(part(document, 'score-legend', HTMLElement), false);
    this.#results.hidden = false;
    part(document, 'status', HTMLElement).textContent = 'Measuring';
    reveal(this.#results);
    const measured = lanes.map(async ({ model }, i) => {
      const row = /** @type {HTMLElement} */ (rows[i]);
      const place = /** @type {HTMLElement} */ (texts[i]);
      try {
        const result = await score(model.server.api, model.card.id, { context, text }, signal);
        showScore(row, place, result);
        return `${lanes[i]?.letter}: perplexity ${result.perplexity.toFixed(2)}.`;
      } catch (error) {
        row.append(cell('–'), cell('–'), cell('–'));
        if (!signal.aborted) showError(part(place, 'error', HTMLElement), asApiError(error));
        return '';
      }
    });
    part(document, 'status', HTMLElement).textContent = (await Promise.all(measured)).join(' ');
    this.#buttons.end();
  }
}

/** @param {unknown} error */
const asApiError = (error) =>
  error instanceof ApiError ? error : new ApiError({ message: String(error), code: 'page_fault' });

/** @param {Lane} lane */
function textOf({ letter, model }) {
  const place = copyOf('answer');
  place.dataset.lane = letter;
  part(place, 'marker', HTMLElement).textContent = letter;
  part(place, 'model', HTMLElement).textContent = nameOf(model);
  return place;
}

/** @param {HTMLElement} row @param {HTMLElement} place @param {Score} score */
function showScore(row, place, { tokens, measured, perplexity, bitsPerByte }) {
  row.append(
    cell(perplexity.toLocaleString('en', { maximumFractionDigits: 2 }), 'main'),
    cell(bitsPerByte.toFixed(3)),
    cell(measured.toLocaleString('en')),
  );
  showTokens(part(place, 'text', HTMLElement), tokens, -1);
}
