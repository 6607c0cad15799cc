/** @import { Token } from './tokens.js' */

import { copyOf, part } from '../part.js';
import { shade } from './tokens.js';

/** @param {number} logprob */
const percent = (logprob) => {
  const share = 100 * Math.exp(logprob);
  return share >= 10 ? `${Math.round(share)} %` : share >= 0.1 ? `${share.toFixed(1)} %` : 'under 0.1 %';
};

/** A token between quotation marks, with its line ends to be seen. @param {string} text */
const quoted = (text) => `“${text.replaceAll('\n', '⏎')}”`;

/** @param {Token} token */
function describeToken({ text, logprob, top }) {
  if (logprob === null) return `${quoted(text)}: not measured`;
  const others = top.filter((each) => each.text !== text);
  const instead = others.map((each) => `${quoted(each.text)} ${percent(each.logprob)}`).join(', ');
  return `${quoted(text)} ${percent(logprob)}${instead === '' ? '' : `; instead: ${instead}`}`;
}

/**
 * Shows tokens shaded by their probabilities. A chosen token is described in a line below: by a click, or with the
 * arrow keys.
 *
 * @param {HTMLElement} place
 * @param {readonly Token[]} tokens
 * @param {number} partsAt index of the token to mark; -1: none
 */
export function showTokens(place, tokens, partsAt) {
  const text = document.createElement('p');
  text.className = 'tokens';
  text.tabIndex = 0;
  text.setAttribute('role', 'group');
  text.setAttribute('aria-label', 'Tokens with their probabilities; the arrow keys choose one');
  const spans = tokens.map((token, i) => {
    const span = document.createElement('span');
    span.className = i === partsAt ? 'token parts' : 'token';
    span.dataset.shade = String(shade(token.logprob));
    span.textContent = token.text;
    return span;
  });
  text.append(...spans);
  const about = document.createElement('p');
  about.className = 'about-token note';
  about.setAttribute('role', 'status');
  let chosen = -1;
  const choose = (/** @type {number} */ index) => {
    const token = tokens[index];
    if (!token) return;
    spans[chosen]?.classList.remove('chosen');
    chosen = index;
    spans[chosen]?.classList.add('chosen');
    about.textContent = describeToken(token);
  };
  text.addEventListener('click', ({ target }) => choose(spans.indexOf(/** @type {HTMLElement} */ (target))));
  text.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(chosen === -1 ? Math.max(partsAt, 0) : chosen + step);
  });
  place.replaceChildren(text, about);
}

/** @param {HTMLElement} place @param {boolean} withParting */
export function showLegend(place, withParting) {
  const legend = copyOf('legend');
  part(legend, 'parts-here', HTMLElement).hidden = !withParting;
  place.replaceChildren(legend);
}
