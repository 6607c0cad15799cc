/** @import { Token, Tokens } from '../marked.js' */

/** Addresses that a link may have. */
const linkable = /^(https?:|mailto:)/i;

/**
 * Markdown as elements. It makes only the elements named here and sets text as text, so a model cannot put markup,
 * scripts or pictures into the page: HTML is shown as it is written, and a picture is a link.
 *
 * @param {readonly Token[]} tokens of marked's lexer
 * @returns {DocumentFragment}
 */
export function markdown(tokens) {
  const fragment = document.createDocumentFragment();
  for (const token of tokens) fragment.append(nodeOf(token));
  return fragment;
}

/** @param {string} name @param {readonly (Node | string)[]} children */
function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/** @param {{ tokens?: Token[] | undefined, text?: string }} token */
const inside = ({ tokens, text = '' }) => (tokens ? markdown(tokens) : document.createTextNode(text));

/**
 * @param {Token} any
 * @returns {Node}
 */
function nodeOf(any) {
  const token = /** @type {import('../marked.js').MarkedToken} */ (any);
  switch (token.type) {
    case 'space':
    case 'def':
      return document.createTextNode('');
    case 'heading':
      // The page's own headings have the first three levels.
      return element(`h${Math.min(token.depth + 3, 6)}`, inside(token));
    case 'paragraph':
      return element('p', inside(token));
    case 'blockquote':
      return element('blockquote', inside(token));
    case 'list':
      return listOf(token);
    case 'code':
      return codeOf(token.text);
    case 'table':
      return tableOf(token);
    case 'hr':
      return element('hr');
    case 'br':
      return element('br');
    case 'strong':
    case 'em':
    case 'del':
      return element(token.type, inside(token));
    case 'codespan':
      return element('code', token.text);
    case 'link':
    case 'image':
      return linkOf(token);
    case 'text':
      return inside(token);
    case 'escape':
      return document.createTextNode(token.text);
    default:
      return document.createTextNode(token.raw);
  }
}

/** @param {Tokens.List} list */
function listOf({ ordered, start, items }) {
  const made = element(ordered ? 'ol' : 'ul', ...items.map((item) => element('li', inside(item))));
  if (made instanceof HTMLOListElement && typeof start === 'number') made.start = start;
  return made;
}

/** A block that scrolls sideways, also by the keyboard. @param {string} text */
function codeOf(text) {
  const made = element('pre', element('code', text));
  made.tabIndex = 0;
  made.setAttribute('role', 'group');
  made.setAttribute('aria-label', 'Code');
  return made;
}

/** @param {Tokens.Table} table */
function tableOf({ header, rows }) {
  const row = (/** @type {string} */ cell, /** @type {Tokens.TableCell[]} */ cells) =>
    element('tr', ...cells.map((each) => element(cell, inside(each))));
  return element(
    'table',
    element('thead', row('th', header)),
    element('tbody', ...rows.map((cells) => row('td', cells))),
  );
}

/** @param {Tokens.Link | Tokens.Image} token */
function linkOf(token) {
  const label = token.type === 'link' ? inside(token) : document.createTextNode(token.text || token.href);
  if (!linkable.test(token.href)) return element('span', label);
  const made = document.createElement('a');
  made.append(label);
  made.href = token.href;
  made.target = '_blank';
  made.rel = 'noopener noreferrer';
  return made;
}
