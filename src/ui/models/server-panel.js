/** @import { Servers } from './servers.js' */

import { showError } from '../errors/notice.js';
import { part } from '../part.js';

/** The list of other servers, and the form that adds one. */
export class ServerPanel {
  #servers;
  #list = part(document, 'servers', HTMLElement);

  /** @param {Servers} servers */
  constructor(servers) {
    this.#servers = servers;
    part(document, 'key', HTMLInputElement).addEventListener('change', () => servers.read());
    part(document, 'add-server', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#add();
    });
  }

  async #add() {
    const url = part(document, 'server-url', HTMLInputElement);
    const key = part(document, 'server-key', HTMLInputElement);
    const error = await this.#servers.add(url.value, key.value.trim());
    showError(part(document, 'server-error', HTMLElement), error);
    url.setAttribute('aria-invalid', String(error !== null));
    if (error) return;
    url.value = '';
    key.value = '';
  }

  /** Shows the servers as they are now. */
  show() {
    const { own, all } = this.#servers;
    const items = all.slice(1).map((server) => {
      const item = document.createElement('li');
      const remove = document.createElement('button');
      remove.type = 'button';
      remove.className = 'icon';
      remove.textContent = '×';
      remove.setAttribute('aria-label', `Remove ${server.name}`);
      remove.addEventListener('click', () => this.#servers.remove(server));
      item.append(server.name, remove);
      return item;
    });
    this.#list.replaceChildren(...items);
    showError(part(document, 'service-error', HTMLElement), own.error);
    if (own.error?.code === 'unauthorized') part(document, 'group-servers', HTMLDetailsElement).open = true;
  }
}
