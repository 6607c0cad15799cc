import { ApiError } from './api-error.js';
import { eventData } from './event-stream.js';

/**
 * @typedef {object} ModelCard
 * @property {string} id
 * @property {string} root
 * @property {'unloaded' | 'loading' | 'ready' | 'unloading' | 'restarting' | 'failed'} state
 * @property {string} precision
 * @property {string | null} variant
 * @property {number | null} max_model_len
 * @property {number | null} max_completion_tokens
 * @property {boolean | null} has_chat_template
 */

/**
 * @typedef {object} Chunk
 * @property {{ text?: string, delta?: { content?: string | null }, finish_reason: string | null }[]} choices
 * @property {{ completion_tokens: number }} [usage]
 * @property {RequestMetrics} [metrics] in the last chunk
 */

/**
 * The service's own timings of an answer; null if it has none.
 *
 * @typedef {object} RequestMetrics
 * @property {number | null} time_to_first_token_ms
 * @property {number | null} mean_itl_ms
 */

/** @typedef {{ path: string, body: object }} ApiRequest */

/** The service's API. It sends the key in a header of each request and nowhere else. */
export class Api {
  #fetch;
  #key;

  /**
   * @param {() => string} key returns the current API key; the empty string: none
   * @param {typeof globalThis.fetch} fetch
   */
  constructor(key, fetch) {
    this.#key = key;
    this.#fetch = fetch;
  }

  /**
   * @returns {Promise<ModelCard[]>}
   * @throws {ApiError}
   */
  async models() {
    const response = await this.#send('v1/models', {});
    return (await response.json()).data;
  }

  /**
   * @param {ApiRequest} request for a stream
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<Chunk, void, void>}
   * @throws {ApiError} also after the stream has begun
   */
  async *stream({ path, body }, signal) {
    const response = await this.#send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
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
    throw new ApiError({ message: 'The stream ended early.', code: 'unreachable' });
  }

  /**
   * @param {string} path relative to the page, which may be below a proxy's prefix
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
    const response = await this.#fetch(path, { ...init, headers, credentials: 'omit' }).catch((error) => {
      if (init.signal?.aborted) throw error;
      throw new ApiError({ message: 'The service does not answer.', code: 'unreachable' });
    });
    if (!response.ok) throw await ApiError.of(response);
    return response;
  }
}
