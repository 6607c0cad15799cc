/** @import { Generation } from '../api/generation.js' */
/** @import { Lane } from './lanes.js' */

import { showError } from '../errors/notice.js';
import { figuresLine, tokenCount } from '../figures/figure-text.js';
import { nameOf } from '../models/servers.js';
import { copyOf, part } from '../part.js';
import { showTokens } from '../tokens/token-text.js';
import { parting, tokenAt } from '../tokens/tokens.js';

/** A prompt and the lanes' answers to it, next to each other. */
export class RowView {
  element = copyOf('row');
  #answers;

  /** @param {string} prompt @param {readonly Lane[]} lanes */
  constructor(prompt, lanes) {
    part(this.element, 'row-prompt', HTMLElement).textContent = prompt;
    this.#answers = lanes.map(answerOf);
    part(this.element, 'answers', HTMLElement).append(...this.#answers);
  }

  /** Shows the texts as they grow. @param {readonly Generation[]} generations */
  show(generations) {
    for (const [i, generation] of generations.entries()) {
      const answer = /** @type {HTMLElement} */ (this.#answers[i]);
      const { state, figures, ending, text } = generation;
      // A finished text already has its shades.
      if (answer.dataset.state === state && !generation.isRunning) continue;
      answer.dataset.state = state;
      answer.setAttribute('aria-busy', String(generation.isRunning));
      const words = state === 'waiting' ? 'Waiting for the first token' : figuresLine(figures);
      part(answer, 'figures', HTMLElement).textContent = [words, generation.isRunning ? '' : ending]
        .filter((each) => each !== '')
        .join(' · ');
      showError(part(answer, 'error', HTMLElement), generation.error);
      showPlain(part(answer, 'text', HTMLElement), text);
    }
  }

  /**
   * Shows all answers as they have ended, with their shades, and where they part.
   *
   * @param {readonly Generation[]} generations
   */
  finish(generations) {
    this.show(generations);
    const written = generations.filter(({ text }) => text !== '');
    const at = written.length < 2 ? null : parting(written.map(({ text }) => text));
    const first = /** @type {Generation | undefined} */ (written[0]);
    for (const [i, { text, tokens }] of generations.entries()) {
      const place = part(/** @type {HTMLElement} */ (this.#answers[i]), 'text', HTMLElement);
      // Other servers may leave some tokens out.
      const isWhole =
        tokens.length > 0 &&
        tokens
          .map((each) => each.text)
          .join('')
          .startsWith(text);
      if (isWhole) showTokens(place, tokens, at === null ? -1 : tokenAt(tokens, at));
      else showPlain(place, text, at);
    }
    if (written.length < 2 || !first) return;
    const note = part(this.element, 'parting', HTMLElement);
    note.hidden = false;
    const shared = at === null ? -1 : tokenAt(first.tokens, at);
    note.textContent = partingText(at, shared);
  }
}

/**
 * @param {number | null} at the character where answers part; null: nowhere
 * @param {number} tokens before it; -1: unknown
 */
function partingText(at, tokens) {
  if (at === null) return 'All answers are the same.';
  if (at === 0 || tokens === 0) return 'The answers part at once.';
  return `The answers are the same for ${tokens > 0 ? tokenCount(tokens) : `${at} characters`}, then they part.`;
}

/** @param {Lane} lane */
function answerOf({ letter, model }) {
  const answer = copyOf('answer');
  answer.dataset.lane = letter;
  part(answer, 'marker', HTMLElement).textContent = letter;
  part(answer, 'model', HTMLElement).textContent = nameOf(model);
  return answer;
}

/** @param {HTMLElement} place @param {string} text @param {number | null} [at] the character to mark */
function showPlain(place, text, at = null) {
  const paragraph = document.createElement('p');
  paragraph.className = 'tokens';
  if (at === null || at >= text.length) paragraph.textContent = text;
  else {
    const mark = document.createElement('span');
    mark.className = 'token parts';
    mark.textContent = text.slice(at).match(/^\s*\S+/)?.[0] ?? text.slice(at);
    paragraph.append(text.slice(0, at), mark, text.slice(at + mark.textContent.length));
  }
  place.replaceChildren(...(text === '' ? [] : [paragraph]));
}
