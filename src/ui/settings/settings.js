/** @import { Settings } from '../api/request.js' */

import { numberNames } from '../api/request.js';
import { part } from '../part.js';

const textNames = /** @type {const} */ (['stop', 'schema', 'system']);

/** @param {string} name @returns {HTMLInputElement | HTMLTextAreaElement} */
const field = (name) =>
  textNames.some((each) => each === name)
    ? part(document, name, HTMLTextAreaElement)
    : part(document, name, HTMLInputElement);

const names = [...numberNames, ...textNames];

/**
 * The settings as typed.
 *
 * @returns {Settings}
 */
export function readSettings() {
  return /** @type {Settings} */ (Object.fromEntries(names.map((name) => [name, field(name).value])));
}

/** @type {Record<string, string>} */
const fieldOf = { max_completion_tokens: 'max_tokens', response_format: 'schema' };

/**
 * Marks the fields that errors name, and only those, and shows them.
 *
 * @param {readonly (string | null)[]} params as the API names them
 */
export function markInvalid(params) {
  const wrong = params.map((param) => fieldOf[param ?? ''] ?? param);
  for (const name of names) {
    const isWrong = wrong.includes(name);
    field(name).setAttribute('aria-invalid', String(isWrong));
    const group = field(name).closest('details');
    if (isWrong && group) group.open = true;
  }
}

/** On a phone the settings are behind a button. */
export function startSettings() {
  const panel = part(document, 'settings', HTMLElement);
  const toggle = part(document, 'settings-toggle', HTMLButtonElement);
  toggle.addEventListener('click', () => {
    const isOpen = toggle.getAttribute('aria-expanded') === 'false';
    toggle.setAttribute('aria-expanded', String(isOpen));
    panel.classList.toggle('open', isOpen);
    if (isOpen) window.scrollTo({ top: 0 });
  });
}
