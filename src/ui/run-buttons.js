import { part } from './part.js';

/** A button that starts work, and one in its place that stops it, as Escape does. */
export class RunButtons {
  #start;
  #stop;
  /** @type {AbortController | null} */
  #running = null;

  /** @param {string} start @param {string} stop names of the buttons */
  constructor(start, stop) {
    this.#start = part(document, start, HTMLButtonElement);
    this.#stop = part(document, stop, HTMLButtonElement);
    this.#stop.addEventListener('click', () => this.stop());
    document.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.stop();
    });
  }

  get isRunning() {
    return this.#running !== null;
  }

  /** @returns {AbortSignal} that stops the work */
  start() {
    this.#running = new AbortController();
    this.#swap(this.#start, this.#stop);
    return this.#running.signal;
  }

  stop() {
    this.#running?.abort();
  }

  /** The work has ended. */
  end() {
    this.#running = null;
    this.#swap(this.#stop, this.#start);
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

/**
 * Calls a function at most once a frame.
 *
 * @param {() => void} draw
 */
export function perFrame(draw) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  };
}

/**
 * Scrolls to results that begin to come, so that a phone shows them.
 *
 * @param {HTMLElement} results
 */
export function reveal(results) {
  const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  results.scrollIntoView({ block: 'start', behavior: isCalm ? 'instant' : 'smooth' });
}
