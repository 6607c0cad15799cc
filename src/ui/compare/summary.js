/** @import { Generation } from '../api/generation.js' */
/** @import { Lane } from './lanes.js' */

import { duration, rate } from '../figures/figure-text.js';
import { nameOf } from '../models/servers.js';
import { meanLogprob } from '../tokens/tokens.js';

/**
 * A model's figures over all prompts.
 *
 * @typedef {object} Summary
 * @property {number | null} firstTokenMs median
 * @property {number | null} tokensPerSecond
 * @property {number} tokens
 * @property {number | null} logprob mean of all tokens
 */

/** @param {readonly number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}

/**
 * @param {readonly Generation[]} generations of one model
 * @returns {Summary}
 */
export function summarise(generations) {
  const all = generations.map(({ figures }) => figures);
  const rated = all.flatMap(({ tokens, tokensPerSecond }) =>
    tokensPerSecond === null || tokens < 2 ? [] : { gaps: tokens - 1, tokensPerSecond },
  );
  const gaps = rated.reduce((sum, each) => sum + each.gaps, 0);
  const seconds = rated.reduce((sum, each) => sum + each.gaps / each.tokensPerSecond, 0);
  return {
    firstTokenMs: median(all.flatMap(({ firstTokenMs }) => firstTokenMs ?? [])),
    tokensPerSecond: seconds > 0 ? gaps / seconds : null,
    tokens: all.reduce((sum, each) => sum + each.tokens, 0),
    logprob: meanLogprob(generations.flatMap(({ tokens }) => tokens)),
  };
}

/** @param {string} text @param {string} [className] */
export function cell(text, className = '') {
  const made = document.createElement('td');
  made.textContent = text;
  made.className = className;
  return made;
}

/** The beginning of a table's row: a lane's letter and its model. @param {Lane} lane */
export function laneRow({ letter, model }) {
  const row = document.createElement('tr');
  row.dataset.lane = letter;
  const head = document.createElement('th');
  head.scope = 'row';
  const marker = document.createElement('span');
  marker.className = 'marker';
  marker.textContent = letter;
  head.append(marker, ' ', nameOf(model));
  row.append(head);
  return row;
}

/**
 * A row for each lane.
 *
 * @param {HTMLElement} body of the table
 * @param {readonly Lane[]} lanes
 * @param {readonly Summary[]} summaries
 */
export function showSummary(body, lanes, summaries) {
  const base = summaries[0]?.tokensPerSecond ?? null;
  const rows = lanes.map((lane, i) => {
    const row = laneRow(lane);
    const { firstTokenMs = null, tokensPerSecond = null, tokens = 0, logprob = null } = summaries[i] ?? {};
    const relative =
      base === null || tokensPerSecond === null ? '–' : `${(tokensPerSecond / base).toFixed(2)}×`;
    row.append(
      cell(duration(firstTokenMs)),
      cell(rate(tokensPerSecond), 'main'),
      cell(relative),
      cell(tokens === 0 ? '–' : tokens.toLocaleString('en')),
      cell(logprob === null ? '–' : logprob.toFixed(2)),
    );
    return row;
  });
  body.replaceChildren(...rows);
}
