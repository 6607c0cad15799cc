/** @import { Kept, Turn } from './conversation.js' */

/** The key under which the browser keeps the conversations. */
const place = 'altup-serve chats';

/** The newest conversations are kept, this many. */
const maxKept = 50;

/** @param {any} turn @returns {turn is Turn} */
const isTurn = (turn) =>
  ['prompt', 'answer', 'model', 'figures'].every((name) => typeof turn?.[name] === 'string') &&
  ['chat', 'text'].includes(turn.kind);

/** Conversations in the browser's storage, once the reader has asked for it. */
export class History {
  #storage;

  /** @param {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null} storage null: the browser forbids it */
  constructor(storage) {
    this.#storage = storage;
  }

  get isPossible() {
    return this.#storage !== null;
  }

  /** Whether conversations are kept. */
  get isOn() {
    return this.#storage !== null && this.#storage.getItem(place) !== null;
  }

  /** The kept conversations, the newest first. @returns {Kept[]} */
  get all() {
    try {
      const kept = JSON.parse(this.#storage?.getItem(place) ?? '[]');
      // Another page of this origin, or an older one, may have written it.
      return kept.filter(
        (/** @type {any} */ each) => typeof each.id === 'string' && each.turns.every(isTurn),
      );
    } catch {
      return [];
    }
  }

  turnOn() {
    this.#storage?.setItem(place, '[]');
  }

  /** Forgets all conversations. */
  turnOff() {
    this.#storage?.removeItem(place);
  }

  /**
   * Keeps a conversation as it is now; an empty one is forgotten.
   *
   * @param {Kept} conversation
   * @returns {boolean} false if the browser has no room for it
   */
  keep({ id, turns }) {
    if (!this.isOn) return true;
    const others = this.all.filter((each) => each.id !== id);
    const all = turns.length === 0 ? others : [{ id, turns }, ...others].slice(0, maxKept);
    try {
      this.#storage?.setItem(place, JSON.stringify(all));
      return true;
    } catch {
      return false;
    }
  }
}
