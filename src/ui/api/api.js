import { ApiError } from './api-error.js';
import { eventData } from './event-stream.js';

/**
 * A served model. Other servers only have its name, and sometimes its length; the rest is null then.
 *
 * @typedef {object} ModelCard
 * @property {string} id
 * @property {'unloaded' | 'loading' | 'ready' | 'unloading' | 'restarting' | 'failed'} state
 * @property {string | null} precision
 * @property {string | null} variant
 * @property {number | null} max_model_len
 * @property {number | null} max_completion_tokens
 * @property {boolean | null} has_chat_template
 */

/**
 * @typedef {object} Choice
 * @property {string} [text]
 * @property {{ content?: string | null }} [delta]
 * @property {TextLogprobs | ChatLogprobs | null} [logprobs]
 * @property {string | null} finish_reason
 */

/** @typedef {{ tokens: string[], token_logprobs: (number | null)[], top_logprobs?: (Record<string, number> | null)[] | null }} TextLogprobs */

/** @typedef {{ token: string, logprob: number, bytes?: number[] | null }} ChatToken */

/** @typedef {{ content: (ChatToken & { top_logprobs: ChatToken[] })[] | null }} ChatLogprobs */

/**
 * @typedef {object} Usage
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 * @property {{ accepted_prediction_tokens?: number }} [completion_tokens_details]
 */

/**
 * @typedef {object} Chunk
 * @property {Choice[]} choices
 * @property {Usage | null} [usage]
 * @property {RequestMetrics} [metrics] in the last chunk of this service
 * @property {{ prompt_ms: number, predicted_per_second: number }} [timings] in the last chunk of llama.cpp
 */

/**
 * The service's own timings of an answer; null if it has none.
 *
 * @typedef {object} RequestMetrics
 * @property {number | null} time_to_first_token_ms
 * @property {number | null} mean_itl_ms
 */

/** @typedef {{ path: string, body: object }} ApiRequest */

/** A server's API. It sends the key in a header of each request and nowhere else. */
export class Api {
  #fetch;
  #key;
  #base;

  /**
   * @param {() => string} key returns the current API key; the empty string: none
   * @param {typeof globalThis.fetch} fetch
   * @param {string} base address that ends with a slash, of another server; empty: the page's own service
   */
  constructor(key, fetch, base = '') {
    this.#key = key;
    this.#fetch = fetch;
    this.#base = base;
  }

  /**
   * @returns {Promise<ModelCard[]>}
   * @throws {ApiError}
   */
  async models() {
    const { data } = await this.#json('v1/models', {});
    if (!Array.isArray(data)) throw foreign('The list of models');
    return data.map((card) => ({
      id: String(card.id),
      state: card.state ?? 'ready',
      precision: card.precision ?? null,
      variant: card.variant ?? null,
      max_model_len: card.max_model_len ?? card.meta?.n_ctx ?? null,
      max_completion_tokens: card.max_completion_tokens ?? null,
      has_chat_template: card.has_chat_template ?? null,
    }));
  }

  /**
   * The service's metrics, in Prometheus' format.
   *
   * @throws {ApiError}
   */
  async metrics() {
    return (await this.#send('metrics', {})).text();
  }

  /**
   * A whole answer.
   *
   * @param {ApiRequest} request
   * @param {AbortSignal} signal
   * @returns {Promise<{ choices: Choice[] }>}
   * @throws {ApiError}
   */
  answer({ path, body }, signal) {
    return this.#json(path, posting(body, signal));
  }

  /**
   * @param {ApiRequest} request for a stream
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<Chunk, void, void>}
   * @throws {ApiError} also after the stream has begun
   */
  async *stream({ path, body }, signal) {
    const response = await this.#send(path, posting(body, signal));
    try {
      for await (const data of eventData(/** @type {ReadableStream<Uint8Array>} */ (response.body))) {
        if (data === '[DONE]') return;
        const chunk = JSON.parse(data);
        if (chunk.error)
          throw new ApiError({ ...chunk.error, requestId: response.headers.get('x-request-id') });
        yield chunk;
      }
    } catch (error) {
      if (signal.aborted || error instanceof ApiError) throw error;
    }
    throw new ApiError({ message: 'The stream ended early.', code: 'cut_off' });
  }

  /** @param {string} path @param {RequestInit} init */
  async #json(path, init) {
    const response = await this.#send(path, init);
    return response.json().catch((error) => {
      if (init.signal?.aborted) throw error;
      throw foreign('The answer');
    });
  }

  /**
   * @param {string} path relative to the server's address or to the page, which may be below a proxy's prefix
   * @param {RequestInit} init
   */
  async #send(path, init) {
    const key = this.#key();
    if (!/^[\x21-\x7e]*$/.test(key)) {
      throw new ApiError({
        message: 'The API key contains characters that a header cannot carry.',
        code: 'unfit_key',
      });
    }
    const headers = { ...init.headers, ...(key === '' ? {} : { authorization: `Bearer ${key}` }) };
    const response = await this.#fetch(this.#base + path, { ...init, headers, credentials: 'omit' }).catch(
      (error) => {
        if (init.signal?.aborted) throw error;
        throw new ApiError({
          message: `${this.#base || 'The service'} does not answer.`,
          code: this.#base === '' ? 'unreachable' : 'unreachable_server',
        });
      },
    );
    if (!response.ok) throw await ApiError.of(response);
    return response;
  }
}

/** @param {object} body @param {AbortSignal} signal @returns {RequestInit} */
const posting = (body, signal) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
  signal,
});

/** @param {string} what */
const foreign = (what) =>
  new ApiError({ message: `${what} is not in the format of OpenAI’s API.`, code: 'foreign_answer' });
