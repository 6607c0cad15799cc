/** @import { Api } from './api.js' */

import { comparison } from './figure-text.js';
import { baselineOf, firstChoice } from './model-choice.js';
import { ModelList } from './model-list.js';
import { showError } from './notice.js';
import { part } from './part.js';
import { markInvalid, readSettings } from './sampling-fields.js';
import { Side } from './side.js';

/** Milliseconds between updates of the figures while a stream runs. */
const figuresEveryMs = 100;

/** The page: one model, or two side by side. */
export class Playground {
  #main = part(document, 'main', HTMLElement);
  #form = part(document, 'form', HTMLFormElement);
  #prompt = part(document, 'prompt', HTMLTextAreaElement);
  #generate = part(document, 'generate', HTMLButtonElement);
  #stop = part(document, 'stop', HTMLButtonElement);
  #startOver = part(document, 'start-over', HTMLButtonElement);
  #status = part(document, 'status', HTMLElement);
  #verdict = part(document, 'verdict', HTMLElement);
  #models;
  #sides;
  /** @type {AbortController | null} stops the streams that run */
  #running = null;

  /** @param {Api} api */
  constructor(api) {
    this.#sides = [new Side(api, 'A'), new Side(api, 'B')];
    this.#models = new ModelList(api, (models, error) => {
      showError(part(document, 'service-error', HTMLElement), error);
      this.#offer(models);
    });
  }

  start() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#ask();
    });
    this.#form.addEventListener('change', ({ target }) => {
      if (target instanceof HTMLInputElement && target.type === 'radio') this.#forget();
      this.#arrange();
    });
    this.#stop.addEventListener('click', () => this.#running?.abort());
    this.#startOver.addEventListener('click', () => {
      this.#forget();
      this.#prompt.focus();
    });
    part(document, 'key', HTMLInputElement).addEventListener('change', () => this.#models.read());
    document.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.#running?.abort();
    });
    this.#prompt.addEventListener('keydown', ({ key, ctrlKey, metaKey }) => {
      if (key === 'Enter' && (ctrlKey || metaKey)) this.#form.requestSubmit();
    });
    this.#forget();
    void this.#models.read();
  }

  get #isComparing() {
    return part(document, 'compare', HTMLInputElement).checked;
  }

  get #isChat() {
    return part(document, 'chat', HTMLInputElement).checked;
  }

  /** The sides in use. */
  get #shown() {
    return this.#isComparing ? this.#sides : this.#sides.slice(0, 1);
  }

  /** @param {Parameters<typeof firstChoice>[0]} models */
  #offer(models) {
    const [first, second] = /** @type {[Side, Side]} */ (this.#sides);
    first.picker.offer(models, firstChoice(models));
    second.picker.offer(models, baselineOf(models, first.picker.chosen?.id ?? ''));
    this.#arrange();
  }

  /** Updates the page to match the choices. */
  #arrange() {
    this.#main.dataset.mode = this.#isComparing ? 'compare' : 'single';
    for (const side of this.#sides) {
      side.show(this.#shown.includes(side));
      if (!this.#running && side.lane.figures === null) side.entitle();
    }
    const mute = this.#shown
      .map(({ picker }) => picker.chosen)
      .find((model) => model?.has_chat_template === false);
    const chat = part(document, 'chat', HTMLInputElement);
    chat.disabled = mute !== undefined;
    part(document, 'no-chat', HTMLElement).textContent = mute ? `${mute.id} has no chat template` : '';
    if (mute && chat.checked) {
      part(document, 'completion', HTMLInputElement).checked = true;
      this.#forget();
    }
    this.#startOver.hidden = !this.#sides.some(({ lane }) => lane.hasConversation);
  }

  /** Starts over with empty lanes. */
  #forget() {
    this.#running?.abort();
    for (const { lane } of this.#sides) lane.clear();
    this.#verdict.textContent = '';
    this.#status.textContent = '';
    this.#arrange();
  }

  /** Asks all shown models at the same time. */
  async #ask() {
    if (this.#running) return;
    const sides = this.#shown;
    const isChat = this.#isChat;
    const prompt = this.#prompt.value;
    const settings = readSettings();
    const running = new AbortController();
    this.#begin(running, isChat);
    const ticking = setInterval(() => this.#showFigures(), figuresEveryMs);
    const questions = sides.map(({ picker, lane }) =>
      lane.ask({ model: picker.chosen?.id ?? '', prompt, isChat, settings, signal: running.signal }),
    );
    const answers = await Promise.all(questions);
    clearInterval(ticking);
    this.#finish(answers);
    if (isChat && this.#prompt.value === '' && answers.every(({ error }) => error))
      this.#prompt.value = prompt;
  }

  /** @param {AbortController} running @param {boolean} isChat */
  #begin(running, isChat) {
    this.#running = running;
    markInvalid([]);
    this.#verdict.textContent = '';
    this.#status.textContent = 'Generating';
    if (isChat) this.#prompt.value = '';
    this.#swap(this.#generate, this.#stop);
  }

  /** @param {Awaited<ReturnType<Side['lane']['ask']>>[]} answers */
  #finish(answers) {
    this.#running = null;
    this.#showFigures();
    this.#swap(this.#stop, this.#generate);
    const errors = answers.flatMap(({ error }) => error ?? []);
    markInvalid(errors.map(({ param }) => param));
    this.#status.textContent = answers.map(({ summary }) => summary).join(' ');
    const [a, b] = this.#shown.map(({ lane }) => lane.figures);
    this.#verdict.textContent = a && b && errors.length === 0 ? comparison(a, b) : '';
    if (errors.some(({ code }) => code === 'model_not_found')) void this.#models.read();
    this.#arrange();
  }

  #showFigures() {
    const now = performance.now();
    const lengths = this.#shown.map(({ lane }) => lane.figures?.totalMs(now) ?? 0);
    for (const { lane, view } of this.#shown) view.show(lane.figures, now, Math.max(...lengths));
  }

  /**
   * Replaces a button with another and moves its focus.
   *
   * @param {HTMLButtonElement} button
   * @param {HTMLButtonElement} successor
   */
  #swap(button, successor) {
    const hadFocus = document.activeElement === button;
    successor.hidden = false;
    if (hadFocus) successor.focus();
    button.hidden = true;
  }
}
