/** @import { ApiError } from '../api/api-error.js' */

import { copyOf, part } from '../part.js';
import { headline, remedy } from './words.js';

/**
 * Shows an error: what happened and what to do, in the page's words; then the service's words, and how to find the
 * error again.
 *
 * @param {HTMLElement} place a live region, which announces the error
 * @param {ApiError | null} error null removes the notice
 */
export function showError(place, error) {
  if (error === null) {
    place.replaceChildren();
    return;
  }
  const notice = copyOf('notice');
  part(notice, 'message', HTMLElement).textContent = headline(error);
  part(notice, 'remedy', HTMLElement).textContent = remedy(error);
  part(notice, 'own-words', HTMLElement).textContent = error.message;
  const details = [
    ['code', error.code],
    ['param', error.param],
    ['status', error.status],
    ['request id', error.requestId],
  ];
  const list = part(notice, 'details', HTMLElement);
  for (const [name, value] of details) {
    if (value === null) continue;
    const entry = copyOf('detail');
    part(entry, 'name', HTMLElement).textContent = String(name);
    part(entry, 'value', HTMLElement).textContent = String(value);
    list.append(entry);
  }
  place.replaceChildren(notice);
}
