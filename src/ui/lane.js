/** @import { Api } from './api.js' */
/** @import { LaneView } from './lane-view.js' */
/** @import { Message, Settings } from './request.js' */

import { ApiError } from './api-error.js';
import { duration, rate, tokenCount } from './figure-text.js';
import { Figures } from './figures.js';
import { requestFor } from './request.js';

/**
 * @typedef {object} Question
 * @property {string} model
 * @property {string} prompt
 * @property {boolean} isChat
 * @property {Settings} settings
 * @property {AbortSignal} signal
 */

/** @type {Record<string, string>} */
const endings = { stop: 'Finished', length: 'Reached max tokens' };

/** One model's text; in a chat it keeps the conversation. */
export class Lane {
  #api;
  #view;
  #clock;
  /** @type {Message[]} */
  #messages = [];

  /** @type {Figures | null} of the last question */
  figures = null;

  /**
   * @param {Api} api
   * @param {LaneView} view
   * @param {() => number} clock milliseconds
   */
  constructor(api, view, clock) {
    this.#api = api;
    this.#view = view;
    this.#clock = clock;
  }

  get hasConversation() {
    return this.#messages.length > 0;
  }

  /** Forgets the conversation and clears the text. */
  clear() {
    this.#messages = [];
    this.figures = null;
    this.#view.clear();
  }

  /**
   * Shows the model's text until it ends, fails or is stopped.
   *
   * @param {Question} question
   * @returns {Promise<{ summary: string, error: ApiError | null }>} the outcome, in a sentence
   */
  async ask({ model, prompt, isChat, settings, signal }) {
    /** @type {Message[]} */
    const messages = [...this.#messages, { role: 'user', content: prompt }];
    const figures = new Figures(this.#clock());
    this.figures = figures;
    this.#view.model = model;
    this.#view.begin(prompt, isChat);
    let answer = '';
    let ending = 'Ended';
    try {
      const request = requestFor({ model, prompt: isChat ? messages : prompt, settings });
      for await (const { choices, usage, metrics } of this.#api.stream(request, signal)) {
        const [choice] = choices;
        const added = choice?.text ?? choice?.delta?.content ?? '';
        if (usage) figures.counted(usage.completion_tokens, this.#clock());
        if (metrics) figures.measured(metrics);
        if (added !== '') this.#view.write(added);
        answer += added;
        ending = endings[choice?.finish_reason ?? ''] ?? ending;
      }
    } catch (error) {
      if (!signal.aborted) {
        const failure =
          error instanceof ApiError ? error : new ApiError({ message: String(error), code: 'page_fault' });
        this.#view.fail(failure);
        return { summary: '', error: failure };
      }
      ending = 'Stopped';
    } finally {
      figures.ended(this.#clock());
    }
    if (isChat && answer !== '') this.#messages = [...messages, { role: 'assistant', content: answer }];
    this.#view.end(ending);
    const { tokens, firstTokenMs, tokensPerSecond } = figures;
    const summary = `${model}: ${ending}. ${tokenCount(tokens)}, first after ${duration(firstTokenMs)}, ${rate(tokensPerSecond)} tokens per second.`;
    return { summary, error: null };
  }
}
