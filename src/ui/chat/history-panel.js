/** @import { Kept } from './conversation.js' */
/** @import { History } from './history.js' */

import { part } from '../part.js';
import { Conversation } from './conversation.js';

/** The checkbox that keeps conversations, and their list. */
export class HistoryPanel {
  #history;
  #onOpen;
  #keep = part(document, 'keep', HTMLInputElement);

  /**
   * @param {History} history
   * @param {() => Kept} current
   * @param {(kept: Kept) => void} onOpen a conversation of the list
   */
  constructor(history, current, onOpen) {
    this.#history = history;
    this.#onOpen = onOpen;
    this.#keep.checked = history.isOn;
    this.#keep.disabled = !history.isPossible;
    this.#keep.addEventListener('change', () => {
      if (this.#keep.checked) history.turnOn();
      else history.turnOff();
      this.keep(current());
    });
    part(document, 'clear-history', HTMLButtonElement).addEventListener('click', () => {
      history.turnOn();
      this.#show(true);
    });
    this.#show(true);
  }

  /** Keeps a conversation as it is now, if the reader wants that. @param {Kept} conversation */
  keep(conversation) {
    this.#show(this.#history.keep(conversation));
  }

  /** @param {boolean} hasRoom */
  #show(hasRoom) {
    const { isPossible, isOn, all } = this.#history;
    part(document, 'history-note', HTMLElement).textContent = !isOn
      ? `Chats are forgotten when this page closes.${isPossible ? '' : ' The browser forbids it to keep anything.'}`
      : hasRoom
        ? 'Everybody who uses this browser profile can read them.'
        : 'The browser has no room left: this chat is not kept.';
    part(document, 'clear-history', HTMLButtonElement).hidden = all.length === 0;
    part(document, 'past', HTMLElement).replaceChildren(...all.map((kept) => this.#entry(kept)));
  }

  /** @param {Kept} kept */
  #entry(kept) {
    const item = document.createElement('li');
    const open = document.createElement('button');
    open.type = 'button';
    open.textContent = Conversation.titleOf(kept);
    open.addEventListener('click', () => this.#onOpen(kept));
    item.append(open);
    return item;
  }
}
