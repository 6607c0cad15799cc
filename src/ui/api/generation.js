/** @import { Api, ApiRequest, Usage } from './api.js' */
/** @import { Token } from '../tokens/tokens.js' */

import { Figures } from '../figures/figures.js';
import { tokensOf, wholeCharacters } from '../tokens/tokens.js';
import { ApiError } from './api-error.js';

/** @typedef {'waiting' | 'writing' | 'ended' | 'stopped' | 'failed'} State */

/** @type {Record<string, string>} */
const endings = { stop: 'Finished', length: 'Reached max tokens' };

/** One answer as it streams in. */
export class Generation {
  text = '';
  /** @type {State} */
  state = 'waiting';
  /** How it ended, in words. */
  ending = 'Ended';
  /** @type {ApiError | null} */
  error = null;
  /** @type {Usage | null} */
  usage = null;
  /** @type {Token[]} */
  #tokens = [];
  /** The same as whole characters, of so many tokens. @type {{ count: number, tokens: Token[] }} */
  #whole = { count: 0, tokens: [] };
  #clock;

  /** @param {() => number} clock milliseconds */
  constructor(clock) {
    this.#clock = clock;
    this.figures = new Figures(clock());
  }

  /** The text's tokens with their probabilities; empty if none were asked for. */
  get tokens() {
    if (this.#whole.count !== this.#tokens.length)
      this.#whole = { count: this.#tokens.length, tokens: wholeCharacters(this.#tokens) };
    return this.#whole.tokens;
  }

  get isRunning() {
    return this.state === 'waiting' || this.state === 'writing';
  }

  /**
   * Reads the answer until it ends, fails or is stopped.
   *
   * @param {Api} api
   * @param {() => ApiRequest} request
   * @param {AbortSignal} signal stops it
   * @param {() => void} onChange after each piece of text, and at the end
   */
  async run(api, request, signal, onChange) {
    try {
      for await (const { choices, usage, metrics, timings } of api.stream(request(), signal)) {
        const [choice] = choices;
        const added = choice?.text ?? choice?.delta?.content ?? '';
        const scored = tokensOf(choice?.logprobs);
        this.#tokens.push(...scored);
        if (usage) this.usage = usage;
        this.figures.guessed =
          usage?.completion_tokens_details?.accepted_prediction_tokens ?? this.figures.guessed;
        const count = usage?.completion_tokens || this.#tokens.length;
        const hasText = added !== '' || scored.length > 0;
        if (hasText || usage) this.figures.counted(count, this.#clock(), hasText);
        if (metrics) this.figures.measured(metrics);
        if (timings)
          this.figures.measured({
            time_to_first_token_ms: timings.prompt_ms,
            mean_itl_ms: 1000 / timings.predicted_per_second,
          });
        this.ending = endings[choice?.finish_reason ?? ''] ?? this.ending;
        if (!hasText) continue;
        this.text += added;
        this.state = 'writing';
        onChange();
      }
      this.state = 'ended';
    } catch (error) {
      this.#fail(error, signal);
    } finally {
      this.figures.ended(this.#clock());
      onChange();
    }
  }

  /** @param {unknown} error @param {AbortSignal} signal */
  #fail(error, signal) {
    if (signal.aborted) {
      this.state = 'stopped';
      this.ending = 'Stopped';
      return;
    }
    this.state = 'failed';
    this.ending = 'Failed';
    this.error =
      error instanceof ApiError ? error : new ApiError({ message: String(error), code: 'page_fault' });
  }
}
