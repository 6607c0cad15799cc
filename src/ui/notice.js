/** @import { ApiError } from './api-error.js' */

import { copyOf, part } from './part.js';
import { remedy } from './remedy.js';

/**
 * Shows an error in full: the service's message, the remedy, and how to find the error again.
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
  part(notice, 'message', HTMLElement).textContent = error.message;
  part(notice, 'remedy', HTMLElement).textContent = remedy(error);
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
