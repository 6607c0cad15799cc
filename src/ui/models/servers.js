/** @import { ModelCard } from '../api/api.js' */

import { Api } from '../api/api.js';
import { ApiError } from '../api/api-error.js';

/** Milliseconds between reads of a list while it may change. */
const againMs = 2000;

/**
 * A server and the models that it serves.
 *
 * @typedef {object} Server
 * @property {string} name empty: the page's own service
 * @property {Api} api
 * @property {readonly ModelCard[]} models
 * @property {ApiError | null} error why the models could not be read
 */

/**
 * A model of a server.
 *
 * @typedef {object} Model
 * @property {Server} server
 * @property {ModelCard} card
 */

/** The page's own service, and the servers that its user added. */
export class Servers {
  #fetch;
  #onRead;
  /** @type {Server[]} */
  all;

  /**
   * @param {() => string} key of the own service
   * @param {typeof globalThis.fetch} fetch
   * @param {(server: Server) => void} onRead after each reading of a server's list
   */
  constructor(key, fetch, onRead) {
    this.#fetch = fetch;
    this.#onRead = onRead;
    this.all = [{ name: '', api: new Api(key, fetch), models: [], error: null }];
  }

  get own() {
    return /** @type {Server} */ (this.all[0]);
  }

  /** All models, the own service's first. @returns {Model[]} */
  get models() {
    return this.all.flatMap((server) => server.models.map((card) => ({ server, card })));
  }

  /**
   * Adds a server and reads its models.
   *
   * @param {string} address with or without `/v1`
   * @param {string} key
   * @returns {Promise<ApiError | null>} why it was not added
   */
  async add(address, key) {
    const url = URL.parse(address.trim());
    if (!url || !/^https?:$/.test(url.protocol))
      return new ApiError({ message: `'${address}' is no http address.`, code: 'server_address' });
    const base = `${url.origin}${url.pathname.replace(/(\/v1)?\/*$/, '/')}`;
    const name = base.replace(/^https?:\/\/|\/$/g, '');
    /** @type {Server} */
    const server = { name, api: new Api(() => key, this.#fetch, base), models: [], error: null };
    const isSettled = await this.#read(server);
    if (server.error !== null) return server.error;
    this.all = [...this.all.filter((each) => each.name !== name), server];
    this.#wasRead(server, isSettled);
    return null;
  }

  /** @param {Server} server */
  remove(server) {
    this.all = this.all.filter((each) => each !== server);
    this.#wasRead(server, true);
  }

  /**
   * Reads a server's list, and again while a model is about to be ready or the service does not answer.
   *
   * @param {Server} server
   */
  async read(server = this.own) {
    const isSettled = await this.#read(server);
    if (this.all.includes(server)) this.#wasRead(server, isSettled);
  }

  /** @param {Server} server @returns {Promise<boolean>} whether the list stays as it is for now */
  async #read(server) {
    try {
      server.models = await server.api.models();
      server.error = null;
      return !server.models.some(({ state }) => state === 'loading' || state === 'restarting');
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      server.models = [];
      server.error = error;
      return error.status !== null || server !== this.own;
    }
  }

  /** The next reading of each server. @type {Map<Server, ReturnType<typeof setTimeout>>} */
  #next = new Map();

  /** @param {Server} server @param {boolean} isSettled */
  #wasRead(server, isSettled) {
    this.#onRead(server);
    clearTimeout(this.#next.get(server));
    if (isSettled) this.#next.delete(server);
    else
      this.#next.set(
        server,
        setTimeout(() => this.read(server), againMs),
      );
  }
}

/** Whether a server is an altup-serve, which knows the variants of its models. @param {Model} model */
export const isAltup = ({ card }) => card.variant !== null || card.precision !== null;

/** A model's name, with its server if that is another. @param {Model} model */
export const nameOf = ({ server, card }) => (server.name === '' ? card.id : `${card.id} at ${server.name}`);
