/** @import { ModelCard } from '../api/api.js' */
/** @import { Turn } from './conversation.js' */

import { part } from '../part.js';

/** Where a message is written, at the end of the page. */
export class Composer {
  #say = part(document, 'say', HTMLTextAreaElement);
  #send = part(document, 'send', HTMLButtonElement);
  #case = part(document, 'case', HTMLElement);
  #chat = part(document, 'kind-chat', HTMLInputElement);
  #text = part(document, 'kind-text', HTMLInputElement);
  #onKind;
  /** Whether the reader chose between chat and completion. */
  #hasChosen = false;
  /** @type {number | null} index of the turn that is edited */
  #editing = null;

  /**
   * @param {(text: string, editing: number | null) => void} onSend
   * @param {() => void} onKind another kind was chosen
   */
  constructor(onSend, onKind) {
    this.#onKind = onKind;
    const form = part(document, 'chat-form', HTMLFormElement);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#send.disabled || this.#send.hidden || this.#say.value.trim() === '') return;
      const [text, editing] = [this.#say.value, this.#editing];
      this.reset();
      onSend(text, editing);
    });
    this.#say.addEventListener('keydown', (event) => {
      const { key, shiftKey, isComposing } = event;
      if (key === 'Escape') this.#cancel();
      // Screen keyboards have no Shift to break a line with.
      if (key !== 'Enter' || shiftKey || isComposing || matchMedia('(pointer: coarse)').matches) return;
      event.preventDefault();
      form.requestSubmit();
    });
    for (const radio of [this.#chat, this.#text])
      radio.addEventListener('change', () => {
        this.#hasChosen = true;
        onKind();
      });
  }

  /** @returns {Turn['kind']} */
  get kind() {
    return this.#chat.checked ? 'chat' : 'text';
  }

  /** Empties it. */
  reset() {
    this.#say.value = '';
    this.#editing = null;
    this.#case.replaceChildren();
  }

  /** Gives a text back that could not be sent. @param {string} text */
  giveBack(text) {
    if (this.#say.value === '') this.#say.value = text;
  }

  /** @param {string} text @param {number} index of the turn that the edited text replaces */
  edit(text, index) {
    this.#editing = index;
    this.#say.value = text;
    this.#say.focus();
    this.#tell('Sending replaces this message and what follows it.', 'Cancel', () => this.#cancel());
  }

  /**
   * Shows what the model can do. A conversation stays when its next model cannot chat.
   *
   * @param {ModelCard | null} model
   * @param {boolean} isNew nothing was said yet
   */
  fit(model, isNew) {
    const isMute = model?.has_chat_template === false;
    if (isNew && !this.#hasChosen) (isMute ? this.#text : this.#chat).checked = true;
    const isChat = this.kind === 'chat';
    this.#send.disabled = model === null || (isChat && isMute);
    this.#send.textContent = isChat ? 'Send' : 'Continue';
    const label = isChat ? 'Message' : 'Text to continue';
    part(document, 'say-label', HTMLElement).textContent = label;
    this.#say.placeholder = label;
    part(document, 'hint', HTMLElement).textContent = isChat
      ? 'Ask something. The model answers, and remembers what was said.'
      : 'Begin a text. The model continues it.';
    if (this.#editing !== null) return;
    if (!isChat || !isMute) this.#case.replaceChildren();
    else
      this.#tell(
        `${model.id} has no chat template, so it cannot chat.${isNew ? '' : ' Your conversation stays.'} It can continue a text.`,
        'Use completion',
        () => {
          this.#text.checked = true;
          this.#hasChosen = true;
          this.#onKind();
          this.#say.focus();
        },
      );
  }

  #cancel() {
    if (this.#editing === null) return;
    this.reset();
    this.#onKind();
  }

  /** @param {string} words @param {string} offer @param {() => void} action */
  #tell(words, offer, action) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'plain';
    button.textContent = offer;
    button.addEventListener('click', action);
    this.#case.replaceChildren(words, ' ', button);
  }
}
