/** @import { ChatLogprobs, TextLogprobs } from '../api/api.js' */

/**
 * A token with its log probability and the most likely tokens in its place.
 *
 * @typedef {object} Token
 * @property {string} text
 * @property {readonly number[] | null} bytes of a token that is not whole characters
 * @property {number | null} logprob null: not measured
 * @property {readonly { text: string, logprob: number }[]} top the most likely first
 */

/**
 * The tokens of an answer or of one of its chunks, from either API.
 *
 * @param {TextLogprobs | ChatLogprobs | null | undefined} logprobs
 * @returns {Token[]}
 */
export function tokensOf(logprobs) {
  if (!logprobs) return [];
  if ('content' in logprobs)
    return (logprobs.content ?? []).map(({ token, logprob, top_logprobs }) => ({
      ...named(token),
      logprob,
      top: sorted(top_logprobs.map((each) => ({ text: each.token, logprob: each.logprob }))),
    }));
  const { tokens, token_logprobs, top_logprobs } = logprobs;
  return tokens.map((token, i) => ({
    ...named(token),
    logprob: token_logprobs[i] ?? null,
    top: sorted(Object.entries(top_logprobs?.[i] ?? {}).map(([text, logprob]) => ({ text, logprob }))),
  }));
}

/** @param {{ text: string, logprob: number }[]} top */
const sorted = (top) => top.sort((a, b) => b.logprob - a.logprob);

/** Bytes that are no whole character have a name: `bytes:\xe2\x80`. @param {string} token */
function named(token) {
  if (!/^bytes:(\\x[\da-f]{2})+$/.test(token)) return { text: token, bytes: null };
  return {
    text: '',
    bytes: token
      .slice('bytes:\\x'.length)
      .split('\\x')
      .map((hex) => parseInt(hex, 16)),
  };
}

/**
 * Joins tokens that form characters only together; their joint log probability is the sum.
 *
 * @param {readonly Token[]} tokens
 * @returns {Token[]}
 */
export function wholeCharacters(tokens) {
  /** @type {Token[]} */
  const whole = [];
  for (const token of tokens) {
    const last = whole.at(-1);
    if (!token.bytes) {
      whole.push(token);
      continue;
    }
    const joins = last?.bytes ? last : null;
    const bytes = [...(joins?.bytes ?? []), ...token.bytes];
    if (joins) whole.pop();
    whole.push({
      text: new TextDecoder().decode(new Uint8Array(bytes)),
      bytes,
      logprob: joins?.logprob == null ? token.logprob : joins.logprob + (token.logprob ?? 0),
      top: joins?.top ?? token.top,
    });
  }
  return whole;
}

/** Probabilities above which a token has a lighter shade than the next. */
const bounds = [0.5, 0.2, 0.05, 0.01];

/**
 * How dark a token is: 0 for a likely one, up to 4.
 *
 * @param {number | null} logprob
 * @returns {number}
 */
export function shade(logprob) {
  if (logprob === null) return 0;
  const index = bounds.findIndex((bound) => Math.exp(logprob) > bound);
  return index === -1 ? bounds.length : index;
}

/** @param {readonly Token[]} tokens @returns {number | null} null: there are none */
export function meanLogprob(tokens) {
  const measured = tokens.flatMap(({ logprob }) => logprob ?? []);
  return measured.length === 0 ? null : measured.reduce((sum, each) => sum + each, 0) / measured.length;
}

/**
 * Where texts stop being equal, in UTF-16 units; null if they are all the same.
 *
 * @param {readonly string[]} texts
 * @returns {number | null}
 */
export function parting(texts) {
  const [first = '', ...others] = texts;
  if (others.every((text) => text === first)) return null;
  let at = 0;
  while (others.every((text) => at < text.length && text[at] === first[at])) at++;
  return at;
}

/**
 * Index of the token that covers a place in the text; -1 if the text ends before.
 *
 * @param {readonly Token[]} tokens
 * @param {number} at
 */
export function tokenAt(tokens, at) {
  let end = 0;
  return tokens.findIndex(({ text }) => {
    end += text.length;
    return end > at;
  });
}
