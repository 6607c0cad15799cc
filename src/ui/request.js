/** @import { ApiRequest } from './api.js' */

/** @typedef {{ role: 'user' | 'assistant', content: string }} Message */

/**
 * Sampling settings as typed; an empty one is left to the model.
 *
 * @typedef {Record<'max_tokens' | 'temperature' | 'top_p' | 'seed', string>} Settings
 */

/**
 * The typed text as JSON: a number if it is one. Any other text goes to the service unchanged, which reports what is
 * wrong.
 *
 * @param {string} typed
 * @returns {number | string}
 */
const asJson = (typed) => (Number.isFinite(Number(typed)) ? Number(typed) : typed);

/**
 * A request for a stream: each chunk counts the tokens so far, and the last one has the service's timings.
 *
 * @param {object} asked
 * @param {string} asked.model
 * @param {string | readonly Message[]} asked.prompt a text to continue, or the messages of a chat
 * @param {Settings} asked.settings
 * @returns {ApiRequest}
 */
export function requestFor({ model, prompt, settings }) {
  const isChat = typeof prompt !== 'string';
  const given = Object.entries(settings)
    .map(([name, typed]) => /** @type {const} */ ([name, typed.trim()]))
    .filter(([, typed]) => typed !== '')
    .map(([name, typed]) => [
      isChat && name === 'max_tokens' ? 'max_completion_tokens' : name,
      asJson(typed),
    ]);
  return {
    path: isChat ? 'v1/chat/completions' : 'v1/completions',
    body: {
      model,
      ...(isChat ? { messages: prompt } : { prompt }),
      ...Object.fromEntries(given),
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      return_metrics: true,
    },
  };
}
