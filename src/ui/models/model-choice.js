/** @import { ModelCard } from '../api/api.js' */

/** @param {string} a @param {string} b */
function sharedLength(a, b) {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/**
 * The model to start with: a ready one, with AltUp if there is one.
 *
 * @param {readonly ModelCard[]} models
 * @returns {string | null}
 */
export function firstChoice(models) {
  const ready = models.filter(({ state }) => state === 'ready');
  const altup = ready.find(({ variant }) => variant?.startsWith('altup'));
  return (altup ?? ready[0] ?? models[0])?.id ?? null;
}

/**
 * The model to compare with: the dense one most similar in name and precision, otherwise another.
 *
 * @param {readonly ModelCard[]} models
 * @param {string} id
 * @returns {string}
 */
export function baselineOf(models, id) {
  const precision = models.find((model) => model.id === id)?.precision;
  const others = models.filter((model) => model.id !== id && model.state !== 'failed');
  /** @param {ModelCard} model */
  const likeness = (model) =>
    (model.variant === 'dense' ? 1e6 : 0) +
    (model.precision === precision ? 1e4 : 0) +
    100 * sharedLength(model.id, id) -
    model.id.length;
  return others.sort((a, b) => likeness(b) - likeness(a))[0]?.id ?? id;
}

const stateText = {
  unloaded: 'Loads with the first request',
  loading: 'Loading',
  unloading: 'Unloading',
  restarting: 'Engine is restarting',
  failed: 'Failed to load',
};

/**
 * Describes a model in one line.
 *
 * @param {ModelCard} model
 * @returns {string}
 */
export function describe({ state, variant, precision, max_model_len, max_completion_tokens }) {
  if (state !== 'ready') return stateText[state];
  const room =
    max_model_len === null
      ? null
      : max_completion_tokens === null || max_model_len === max_completion_tokens
        ? `${max_model_len} tokens`
        : `prompt ${max_model_len}, completion ${max_completion_tokens} tokens`;
  return [variant, precision, room].filter((each) => each !== null).join(' · ');
}
