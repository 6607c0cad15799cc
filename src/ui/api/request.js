/** @import { ApiRequest } from './api.js' */

import { ApiError } from './api-error.js';

/** @typedef {{ role: 'system' | 'user' | 'assistant', content: string }} Message */

/** The settings that are numbers, as the API names them. */
export const numberNames = /** @type {const} */ ([
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'seed',
  'repetition_penalty',
]);

/**
 * Settings as typed; an empty one is left to the model. `stop` has one text a line, `schema` is JSON.
 *
 * @typedef {Record<typeof numberNames[number] | 'stop' | 'schema' | 'system', string>} Settings
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
 * A request for a stream, whose last chunks have the usage and the service's timings.
 *
 * @param {object} asked
 * @param {string} asked.model
 * @param {string | readonly Message[]} asked.prompt a text to continue, or the messages of a chat
 * @param {Settings} asked.settings
 * @param {boolean} asked.isAltup whether the server is an altup-serve, which counts and times its tokens
 * @param {boolean} [asked.logprobs] also return each token's probability and its alternatives
 * @returns {ApiRequest}
 * @throws {ApiError} if the schema is not JSON
 */
export function requestFor({ model, prompt, settings, isAltup, logprobs = false }) {
  const isChat = typeof prompt !== 'string';
  const numbers = numberNames
    .map((name) => /** @type {const} */ ([name, settings[name].trim()]))
    .filter(([, typed]) => typed !== '')
    .map(([name, typed]) => [
      isChat && name === 'max_tokens' ? 'max_completion_tokens' : name,
      asJson(typed),
    ]);
  const stop = settings.stop.split('\n').filter((line) => line !== '');
  const schema = settings.schema.trim();
  const system = settings.system.trim();
  const scores = isChat ? { logprobs: true, top_logprobs: 5 } : { logprobs: 5 };
  return {
    path: isChat ? 'v1/chat/completions' : 'v1/completions',
    body: {
      model,
      ...(isChat
        ? { messages: system === '' ? prompt : [{ role: 'system', content: system }, ...prompt] }
        : { prompt }),
      ...Object.fromEntries(numbers),
      ...(stop.length > 0 && { stop }),
      ...(schema !== '' && { response_format: responseFormat(schema) }),
      ...(logprobs && scores),
      stream: true,
      stream_options: { include_usage: true, ...(isAltup && { continuous_usage_stats: true }) },
      ...(isAltup && { return_metrics: true }),
    },
  };
}

/** @param {string} text */
function responseFormat(text) {
  try {
    return { type: 'json_schema', json_schema: { name: 'answer', schema: JSON.parse(text) } };
  } catch (error) {
    throw new ApiError({ message: String(error), code: 'not_json', param: 'response_format' });
  }
}
