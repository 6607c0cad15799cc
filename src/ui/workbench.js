/** @import { Lexer } from './chat/turn-view.js' */

import { Chat } from './chat/chat.js';
import { Compare } from './compare/compare.js';
import { Lanes } from './compare/lanes.js';
import { firstChoice } from './models/model-choice.js';
import { ServerPanel } from './models/server-panel.js';
import { Servers } from './models/servers.js';
import { part } from './part.js';
import { Perplexity } from './perplexity/perplexity.js';
import { Strip } from './strip/strip.js';

/** The page's views, by the address's fragment. */
const titles = { chat: 'Chat', compare: 'Compare', perplexity: 'Perplexity' };

/** The page: its views, on the models of one list. */
export class Workbench {
  #servers;
  #panel;
  #chat;
  #lanes = new Lanes();

  /** @param {Lexer} lexer of marked @param {typeof globalThis.fetch} fetch @param {Storage | null} storage */
  constructor(lexer, fetch, storage) {
    const key = part(document, 'key', HTMLInputElement);
    this.#servers = new Servers(
      () => key.value.trim(),
      fetch,
      () => this.#offer(),
    );
    this.#panel = new ServerPanel(this.#servers);
    const readAgain = () => void this.#servers.read();
    this.#chat = new Chat(lexer, storage, readAgain);
    new Compare(this.#lanes, readAgain);
    new Perplexity(this.#lanes);
  }

  start() {
    window.addEventListener('hashchange', () => this.#show());
    this.#show();
    void this.#servers.read();
    void new Strip(this.#servers.own.api).start();
  }

  #offer() {
    const { models, own } = this.#servers;
    const first = firstChoice(own.models);
    const begin = models.find(({ card }) => card.id === first) ?? null;
    this.#panel.show();
    this.#chat.offer(models, begin);
    this.#lanes.offer(models, begin);
  }

  /** Shows the view that the address names. */
  #show() {
    const named = location.hash.slice(1);
    const view = named in titles ? /** @type {keyof typeof titles} */ (named) : 'chat';
    part(document, 'body', HTMLElement).dataset.view = view;
    part(document, 'view-title', HTMLElement).textContent = titles[view];
    for (const name of Object.keys(titles)) {
      const link = part(document, `to-${name}`, HTMLAnchorElement);
      if (name === view) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }
}
