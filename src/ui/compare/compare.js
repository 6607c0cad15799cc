/** @import { Lane, Lanes } from './lanes.js' */

import { Generation } from '../api/generation.js';
import { requestFor } from '../api/request.js';
import { showError } from '../errors/notice.js';
import { isAltup } from '../models/servers.js';
import { part } from '../part.js';
import { perFrame, RunButtons, reveal } from '../run-buttons.js';
import { markInvalid, readSettings } from '../settings/settings.js';
import { showLegend } from '../tokens/token-text.js';
import { PromptFields } from './prompt-fields.js';
import { RowView } from './row-view.js';
import { showSummary, summarise } from './summary.js';

/** @param {string} name */
const isChecked = (name) => part(document, name, HTMLInputElement).checked;

/** The same prompts to several models. */
export class Compare {
  #lanes;
  #onMissing;
  #prompts;
  #error = part(document, 'compare-error', HTMLElement);
  #results = part(document, 'results', HTMLElement);
  #rows = part(document, 'rows', HTMLElement);
  #buttons = new RunButtons('generate', 'compare-stop');

  /** @param {Lanes} lanes @param {() => void} onMissing a model is no longer served */
  constructor(lanes, onMissing) {
    this.#lanes = lanes;
    this.#onMissing = onMissing;
    const form = part(document, 'compare-form', HTMLFormElement);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#run();
    });
    this.#prompts = new PromptFields(form, this.#error);
  }

  async #run() {
    const lanes = this.#lanes.chosen;
    if (this.#buttons.isRunning || lanes.length === 0) return;
    const signal = this.#buttons.start();
    const inTurn = isChecked('in-turn');
    markInvalid([]);
    showError(this.#error, null);
    part(document, 'status', HTMLElement).textContent = 'Generating';
    this.#rows.replaceChildren();
    this.#results.hidden = false;
    showLegend(part(document, 'compare-legend', HTMLElement), true);
    part(document, 'compare-legend', HTMLElement).hidden = !isChecked('logprobs');
    /** @type {Generation[][]} of each lane */
    const done = lanes.map(() => []);
    const summarised = () => showSummary(part(document, 'summary', HTMLElement), lanes, done.map(summarise));
    summarised();
    reveal(this.#results);
    for (const prompt of this.#prompts.all) {
      if (signal.aborted) break;
      await this.#ask(prompt, lanes, inTurn, signal, done, summarised);
      if (done.some((each) => each.at(-1)?.error)) break;
    }
    this.#buttons.end();
    this.#finish(lanes, done, inTurn);
  }

  /**
   * Asks all lanes, at the same time or in turn.
   *
   * @param {string} prompt
   * @param {readonly Lane[]} lanes
   * @param {boolean} inTurn
   * @param {AbortSignal} signal
   * @param {Generation[][]} done gets the new generations
   * @param {() => void} onChange
   */
  async #ask(prompt, lanes, inTurn, signal, done, onChange) {
    const row = new RowView(prompt, lanes);
    this.#rows.append(row.element);
    const settings = readSettings();
    const logprobs = isChecked('logprobs');
    const messages = isChecked('compare-chat')
      ? [/** @type {const} */ ({ role: 'user', content: prompt })]
      : prompt;
    /** @type {Generation[]} */
    const generations = [];
    const draw = perFrame(() => {
      row.show(generations);
      onChange();
    });
    /** @type {Promise<void>[]} */
    const running = [];
    for (const [i, { model }] of lanes.entries()) {
      if (inTurn) await running[i - 1];
      const generation = new Generation(() => performance.now());
      generations.push(generation);
      done[i]?.push(generation);
      const request = () =>
        requestFor({ model: model.card.id, prompt: messages, settings, isAltup: isAltup(model), logprobs });
      running.push(generation.run(model.server.api, request, signal, draw));
    }
    await Promise.all(running);
    row.finish(generations);
    onChange();
  }

  /** @param {readonly Lane[]} lanes @param {Generation[][]} done @param {boolean} inTurn */
  #finish(lanes, done, inTurn) {
    const errors = done.flat().flatMap(({ error }) => error ?? []);
    markInvalid(errors.map(({ param }) => param));
    const isMeasured = done.flat().every(({ figures, error }) => error || figures.isMeasured);
    part(document, 'how-measured', HTMLElement).textContent = [
      isMeasured
        ? 'Timed by the servers.'
        : 'Answers without the server’s own timings are timed by this page.',
      inTurn
        ? 'Each model ran alone.'
        : 'The models ran at the same time; on one device, each is slower than alone.',
    ].join(' ');
    const speeds = done.map((each, i) => {
      const { tokensPerSecond, tokens } = summarise(each);
      return `${lanes[i]?.letter}: ${tokens} tokens${tokensPerSecond === null ? '' : `, ${Math.round(tokensPerSecond)} tokens per second`}.`;
    });
    part(document, 'status', HTMLElement).textContent = errors.length > 0 ? '' : speeds.join(' ');
    if (errors.some(({ code }) => code === 'model_not_found')) this.#onMissing();
  }
}
