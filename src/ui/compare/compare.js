/** @import { Lane, Lanes } from './lanes.js' */

import { ApiError } from '../api/api-error.js';
import { Generation } from '../api/generation.js';
import { requestFor } from '../api/request.js';
import { showError } from '../errors/notice.js';
import { isAltup } from '../models/servers.js';
import { part } from '../part.js';
import { perFrame, RunButtons } from '../run-buttons.js';
import { markInvalid, readSettings } from '../settings/settings.js';
import { showLegend } from '../tokens/token-text.js';
import { linesOf, promptsIn } from './prompts.js';
import { RowView } from './row-view.js';
import { showSummary, summarise } from './summary.js';

/** @param {string} name */
const isChecked = (name) => part(document, name, HTMLInputElement).checked;

/** The same prompts to several models. */
export class Compare {
  #lanes;
  #onMissing;
  #prompt = part(document, 'prompt', HTMLTextAreaElement);
  #error = part(document, 'compare-error', HTMLElement);
  #results = part(document, 'results', HTMLElement);
  #rows = part(document, 'rows', HTMLElement);
  #buttons = new RunButtons('generate', 'compare-stop');
  /** @type {{ name: string, prompts: string[] } | null} */
  #file = null;

  /** @param {Lanes} lanes @param {() => void} onMissing a model is no longer served */
  constructor(lanes, onMissing) {
    this.#lanes = lanes;
    this.#onMissing = onMissing;
    const form = part(document, 'compare-form', HTMLFormElement);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#run();
    });
    this.#prompt.addEventListener('keydown', ({ key, ctrlKey, metaKey }) => {
      if (key === 'Enter' && (ctrlKey || metaKey)) form.requestSubmit();
    });
    const input = part(document, 'file', HTMLInputElement);
    input.addEventListener('change', () => void this.#read(input));
    part(document, 'no-file', HTMLButtonElement).addEventListener('click', () => this.#use(null));
  }

  get #prompts() {
    if (this.#file) return this.#file.prompts;
    return isChecked('lines') ? linesOf(this.#prompt.value) : [this.#prompt.value];
  }

  /** @param {HTMLInputElement} input */
  async #read(input) {
    const [file] = input.files ?? [];
    input.value = '';
    if (!file) return;
    try {
      this.#use({ name: file.name, prompts: promptsIn(await file.text()) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showError(this.#error, error);
    }
  }

  /** @param {{ name: string, prompts: string[] } | null} file null: the prompt of the page */
  #use(file) {
    this.#file = file;
    const note = part(document, 'file-note', HTMLElement);
    note.hidden = file === null;
    note.textContent = file ? `${file.prompts.length} prompts from ${file.name}: ${file.prompts[0]} …` : '';
    part(document, 'no-file', HTMLButtonElement).hidden = file === null;
    this.#prompt.hidden = file !== null;
    part(document, 'prompt-label', HTMLElement).hidden = file !== null;
    showError(this.#error, null);
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
    this.#results.scrollIntoView({ block: 'start', behavior: 'smooth' });
    for (const prompt of this.#prompts) {
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
