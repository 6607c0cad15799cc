/** @import { Usage } from '../api/api.js' */
/** @import { Turn } from './conversation.js' */
/** @import { Model } from '../models/servers.js' */
/** @import { Lexer } from './turn-view.js' */

import { Generation } from '../api/generation.js';
import { requestFor } from '../api/request.js';
import { showError } from '../errors/notice.js';
import { figuresLine } from '../figures/figure-text.js';
import { ModelPicker } from '../models/model-picker.js';
import { isAltup, nameOf } from '../models/servers.js';
import { part } from '../part.js';
import { perFrame, RunButtons } from '../run-buttons.js';
import { markInvalid, readSettings } from '../settings/settings.js';
import { Composer } from './composer.js';
import { Conversation, contextLine } from './conversation.js';
import { Follow } from './follow.js';
import { History } from './history.js';
import { HistoryPanel } from './history-panel.js';
import { TurnView } from './turn-view.js';

const newConversation = () => new Conversation({ id: String(Date.now()), turns: [] });

/** A conversation with a model, or texts that it continues. */
export class Chat {
  #lexer;
  #conversation = newConversation();
  /** @type {Usage | null} of the last answer */
  #usage = null;
  #turns = part(document, 'turns', HTMLElement);
  #error = part(document, 'chat-error', HTMLElement);
  #follow = new Follow();
  #buttons = new RunButtons('send', 'chat-stop');
  #composer;
  #picker;
  #history;
  #onMissing;

  /**
   * @param {Lexer} lexer of marked
   * @param {Storage | null} storage for the history
   * @param {() => void} onMissing a model is no longer served
   */
  constructor(lexer, storage, onMissing) {
    this.#lexer = lexer;
    this.#onMissing = onMissing;
    const arrange = () => this.#arrange();
    this.#composer = new Composer((text, editing) => this.#ask(text, editing ?? undefined), arrange);
    const select = part(document, 'chat-model', HTMLSelectElement);
    this.#picker = new ModelPicker(select, part(document, 'chat-about', HTMLElement), arrange);
    this.#history = new HistoryPanel(
      new History(storage),
      () => this.#conversation,
      (kept) => this.#open(new Conversation(kept)),
    );
    part(document, 'new-chat', HTMLButtonElement).addEventListener('click', () =>
      this.#open(newConversation()),
    );
    this.#follow.start();
  }

  /** @param {readonly Model[]} models @param {Model | null} first the one to begin with */
  offer(models, first) {
    this.#picker.offer(models, first);
    this.#arrange();
  }

  /** Shows what fits the chosen model and the conversation. */
  #arrange() {
    const card = this.#picker.chosen?.card ?? null;
    const isNew = this.#conversation.turns.length === 0;
    this.#composer.fit(card, isNew);
    part(document, 'context', HTMLElement).textContent = contextLine(this.#usage, card);
    part(document, 'new-chat', HTMLButtonElement).hidden = isNew;
    part(document, 'hint', HTMLElement).hidden = !isNew;
    // The composer may have grown over the end of the text.
    this.#follow.grown();
  }

  /** @param {Conversation} conversation */
  #open(conversation) {
    this.#buttons.stop();
    this.#conversation = conversation;
    this.#usage = null;
    this.#composer.reset();
    showError(this.#error, null);
    this.#showTurns();
    this.#arrange();
    this.#follow.toEnd();
  }

  #showTurns() {
    this.#turns.replaceChildren(...this.#conversation.turns.map((turn) => this.#viewOf(turn).element));
  }

  /** @param {Turn} turn */
  #viewOf(turn) {
    const index = () => this.#conversation.turns.indexOf(turn);
    return new TurnView(this.#lexer, turn, {
      edit: () => this.#composer.edit(turn.prompt, index()),
      again: () => this.#ask(turn.prompt, index(), turn.kind),
    });
  }

  /**
   * @param {string} prompt
   * @param {number} [at] index of the turn that it replaces, with those that follow; by default it follows the last
   * @param {Turn['kind']} [kind]
   */
  async #ask(prompt, at = this.#conversation.turns.length, kind = this.#composer.kind) {
    const model = this.#picker.chosen;
    if (!model || this.#buttons.isRunning) return;
    const conversation = this.#conversation;
    const replaced = conversation.turns.splice(at);
    const messages = kind === 'chat' ? conversation.messagesTo(prompt) : prompt;
    /** @type {Turn} */
    const turn = { kind, prompt, answer: '', model: nameOf(model), figures: '' };
    conversation.turns.push(turn);
    this.#showTurns();
    const view = this.#viewOf(turn);
    this.#turns.lastElementChild?.replaceWith(view.element);
    const generation = new Generation(() => performance.now());
    const draw = () => {
      view.show(generation.state);
      this.#follow.grown();
    };
    const drawSoon = perFrame(draw);
    const signal = this.#buttons.start();
    markInvalid([]);
    showError(this.#error, null);
    part(document, 'status', HTMLElement).textContent = 'Generating';
    this.#arrange();
    view.show('waiting');
    this.#follow.toEnd();
    const request = () =>
      requestFor({
        model: model.card.id,
        prompt: messages,
        settings: readSettings(),
        isAltup: isAltup(model),
      });
    await generation.run(model.server.api, request, signal, () => {
      turn.answer = generation.text;
      turn.figures = [figuresLine(generation.figures), generation.isRunning ? '' : generation.ending]
        .filter((words) => words !== '')
        .join(' · ');
      drawSoon();
    });
    draw();
    this.#buttons.end();
    this.#finish(generation, conversation, turn, replaced);
  }

  /**
   * @param {Generation} generation
   * @param {Conversation} conversation
   * @param {Turn} turn
   * @param {Turn[]} replaced what comes back if there is no answer
   */
  #finish({ error, text, usage }, conversation, turn, replaced) {
    if (error && text === '') {
      conversation.turns.splice(-1, 1, ...replaced);
    } else {
      this.#history.keep(conversation);
    }
    if (conversation !== this.#conversation) {
      part(document, 'status', HTMLElement).textContent = '';
      return;
    }
    if (error && text === '') {
      this.#showTurns();
      const [before] = replaced;
      if (before === undefined) this.#composer.giveBack(turn.prompt);
      else if (before.prompt !== turn.prompt)
        this.#composer.edit(turn.prompt, conversation.turns.indexOf(before));
    }
    this.#usage = usage ?? this.#usage;
    markInvalid([error?.param ?? null]);
    showError(this.#error, error);
    part(document, 'status', HTMLElement).textContent = error ? '' : `${turn.model}: ${turn.figures}.`;
    if (error?.code === 'model_not_found') this.#onMissing();
    this.#arrange();
  }
}
