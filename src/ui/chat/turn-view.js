/** @import { Turn } from './conversation.js' */
/** @import { Token } from '../marked.js' */

/** @typedef {(markdown: string) => Token[]} Lexer */

import { copyOf, part } from '../part.js';
import { copyText } from './copy-text.js';
import { markdown } from './markdown.js';

/** Shows a turn of a conversation. */
export class TurnView {
  #lexer;
  #turn;
  element = copyOf('turn');

  /**
   * @param {Lexer} lexer
   * @param {Turn} turn shown as it is at each `show`
   * @param {{ edit: () => void, again: () => void }} actions
   */
  constructor(lexer, turn, { edit, again }) {
    this.#lexer = lexer;
    this.#turn = turn;
    this.element.dataset.kind = turn.kind;
    this.#part('prompt').textContent = turn.prompt;
    this.#on('edit', edit);
    this.#on('again', again);
    this.#copies('copy-prompt', () => turn.prompt);
    this.#copies('copy-answer', () => (turn.kind === 'text' ? turn.prompt + turn.answer : turn.answer));
    this.show('ended');
  }

  /** @param {string} state of the generation */
  show(state) {
    const { kind, model, answer, figures, prompt } = this.#turn;
    const isRunning = state === 'waiting' || state === 'writing';
    this.element.dataset.state = state;
    this.element.setAttribute('aria-busy', String(isRunning));
    this.#part('model').textContent = model;
    this.#part('figures').textContent = state === 'waiting' ? 'Waiting for the first token' : figures;
    this.#part('answer-tools').hidden = isRunning;
    this.#part('copy-answer').hidden = answer === '';
    if (kind === 'chat') this.#showMarkdown(answer);
    else this.#showPassage(prompt, answer);
  }

  /** Markdown that is nested too deeply for the page is shown as text. @param {string} answer */
  #showMarkdown(answer) {
    try {
      this.#part('answer').replaceChildren(markdown(this.#lexer(answer)));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#part('answer').textContent = answer;
    }
  }

  /** A continued text begins with its prompt. @param {string} prompt @param {string} answer */
  #showPassage(prompt, answer) {
    const passage = document.createElement('p');
    const begun = document.createElement('span');
    begun.className = 'begun';
    begun.textContent = prompt;
    passage.append(begun, answer);
    this.#part('answer').replaceChildren(passage);
  }

  /** @param {string} name @param {() => void} action */
  #on(name, action) {
    this.#part(name).addEventListener('click', action);
  }

  /** @param {string} name @param {() => string} text */
  #copies(name, text) {
    const button = this.#part(name);
    button.addEventListener('click', async () => {
      button.textContent = (await copyText(text())) ? 'Copied' : 'Not allowed';
      setTimeout(() => {
        button.textContent = 'Copy';
      }, 1500);
    });
  }

  /** @param {string} name */
  #part(name) {
    return part(this.element, name, HTMLElement);
  }
}
