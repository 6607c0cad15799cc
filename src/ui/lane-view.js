/** @import { ApiError } from './api-error.js' */
/** @import { Figures } from './figures.js' */

import { duration, rate } from './figure-text.js';
import { showError } from './notice.js';
import { copyOf, part } from './part.js';

/** Shows one model's text and figures on the page. */
export class LaneView {
  #root = copyOf('lane');
  #turn = this.#root;
  #answer = new Text();

  /** @param {string} letter */
  constructor(letter) {
    this.#root.dataset.lane = letter;
    this.#part('marker').textContent = letter;
    const title = this.#part('title');
    title.id = `lane-${letter}`;
    this.#root.setAttribute('aria-labelledby', title.id);
  }

  get element() {
    return this.#root;
  }

  set model(/** @type {string} */ name) {
    this.#part('model').textContent = name;
  }

  /** Clears the text. */
  clear() {
    this.#part('text').replaceChildren();
    showError(this.#part('error'), null);
    this.#state('idle', '');
    this.show(null, 0, 0);
  }

  /**
   * Shows a sent prompt. The text written from now on continues or answers it.
   *
   * @param {string} prompt
   * @param {boolean} isChat
   */
  begin(prompt, isChat) {
    const text = this.#part('text');
    this.#turn = copyOf(isChat ? 'turn' : 'passage');
    part(this.#turn, 'prompt', HTMLElement).textContent = prompt;
    this.#answer = new Text();
    part(this.#turn, 'answer', HTMLElement).append(this.#answer);
    if (!isChat) text.replaceChildren();
    text.append(this.#turn);
    showError(this.#part('error'), null);
    this.#state('waiting', 'Waiting');
  }

  /** @param {string} added */
  write(added) {
    this.#answer.appendData(added);
    if (this.#root.dataset.state !== 'writing') this.#state('writing', 'Writing');
  }

  /** @param {string} how */
  end(how) {
    this.#state('ended', how);
  }

  /** @param {ApiError} error */
  fail(error) {
    if (this.#answer.length === 0) this.#turn.remove();
    this.#state('failed', 'Failed');
    showError(this.#part('error'), error);
  }

  /**
   * @param {Figures | null} figures
   * @param {number} now
   * @param {number} scaleMs length of the strip, the same in all lanes
   */
  show(figures, now, scaleMs) {
    const total = figures?.totalMs(now) ?? 0;
    const first = figures?.firstTokenMs ?? null;
    this.#part('first').textContent = duration(first);
    this.#part('rate').textContent = rate(figures?.tokensPerSecond ?? null);
    this.#part('tokens').textContent = figures ? String(figures.tokens) : '–';
    this.#part('total').textContent = figures ? duration(total) : '–';
    const width = (/** @type {number} */ milliseconds) =>
      `${scaleMs > 0 ? (100 * milliseconds) / scaleMs : 0}%`;
    this.#part('strip-waiting').style.width = width(first ?? total);
    this.#part('strip-writing').style.width = width(first === null ? 0 : total - first);
  }

  /** @param {string} state @param {string} words */
  #state(state, words) {
    this.#root.dataset.state = state;
    this.#part('state').textContent = words;
    this.#root.setAttribute('aria-busy', String(state === 'waiting' || state === 'writing'));
  }

  /** @param {string} name */
  #part(name) {
    return part(this.#root, name, HTMLElement);
  }
}
