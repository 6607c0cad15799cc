/** @import { Settings } from './request.js' */

import { part } from './part.js';

const names = /** @type {const} */ (['max_tokens', 'temperature', 'top_p', 'seed']);

/** @param {string} name */
const field = (name) => part(document, name, HTMLInputElement);

/**
 * The sampling settings as typed.
 *
 * @returns {Settings}
 */
export function readSettings() {
  const entries = names.map((name) => [name, field(name).value]);
  return /** @type {Settings} */ (Object.fromEntries(entries));
}

/**
 * Marks the fields that errors name, and only those.
 *
 * @param {readonly (string | null)[]} params as the API names them
 */
export function markInvalid(params) {
  const wrong = params.map((param) => (param === 'max_completion_tokens' ? 'max_tokens' : param));
  for (const name of names) field(name).setAttribute('aria-invalid', String(wrong.includes(name)));
}
