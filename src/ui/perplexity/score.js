/** @import { Api } from '../api/api.js' */
/** @import { Token } from '../tokens/tokens.js' */

import { ApiError } from '../api/api-error.js';
import { meanLogprob, tokenAt, tokensOf, wholeCharacters } from '../tokens/tokens.js';

/**
 * How well a model predicts a text.
 *
 * @typedef {object} Score
 * @property {Token[]} tokens of the text
 * @property {number} measured tokens with a probability
 * @property {number} perplexity
 * @property {number} bitsPerByte
 */

/**
 * A model's score of a text after a context. A decoder reads both and the context's tokens are left out; an
 * encoder-decoder reads the context with its encoder.
 *
 * @param {Api} api
 * @param {string} model
 * @param {{ context: string, text: string }} texts
 * @param {AbortSignal} signal
 * @returns {Promise<Score>}
 * @throws {ApiError}
 */
export async function score(api, model, { context, text }, signal) {
  const scoring = { model, max_tokens: 0, echo: true, logprobs: 5 };
  const answer = (/** @type {object} */ body) => api.answer({ path: 'v1/completions', body }, signal);
  try {
    const { choices } = await answer({ ...scoring, prompt: context + text });
    return scoreOf(scored(choices), context.length);
  } catch (error) {
    // Only encoder-decoder models refuse to score their prompt.
    if (!(error instanceof ApiError && error.param === 'echo')) throw error;
  }
  if (context === '')
    throw new ApiError({ message: `${model} is an encoder-decoder model.`, code: 'needs_context' });
  const { choices } = await answer({ ...scoring, prompt: context, completion_prefix: text });
  return scoreOf(scored(choices), 0);
}

/** @param {import('../api/api.js').Choice[]} choices */
function scored(choices) {
  const [choice] = choices;
  const tokens = wholeCharacters(tokensOf(choice?.logprobs));
  if (tokens.length === 0)
    throw new ApiError({ message: 'The answer has no log probabilities.', code: 'foreign_answer' });
  // A token that begins every text is no part of it.
  const begins = choice?.text?.startsWith(tokens[0]?.text ?? '') ?? true;
  return begins ? tokens : tokens.slice(1);
}

/**
 * The score of the tokens that begin at or after a place in their text.
 *
 * @param {readonly Token[]} all
 * @param {number} from in UTF-16 units
 * @returns {Score}
 */
export function scoreOf(all, from) {
  const first = from === 0 ? 0 : tokenAt(all, from);
  const tokens = first === -1 ? [] : all.slice(first);
  const measured = tokens.filter(({ logprob }) => logprob !== null);
  const mean = meanLogprob(measured);
  if (mean === null) throw new ApiError({ message: 'The text has no measured token.', code: 'needs_text' });
  const bytes = new TextEncoder().encode(measured.map(({ text }) => text).join('')).length;
  return {
    tokens,
    measured: measured.length,
    perplexity: Math.exp(-mean),
    bitsPerByte: (-mean * measured.length) / Math.LN2 / bytes,
  };
}
