/** @import { ModelCard, Usage } from '../api/api.js' */
/** @import { Message } from '../api/request.js' */

/**
 * One prompt and its answer.
 *
 * @typedef {object} Turn
 * @property {'chat' | 'text'} kind whether the model answers the prompt or continues it
 * @property {string} prompt
 * @property {string} answer
 * @property {string} model
 * @property {string} figures a line about its speed
 */

/**
 * A conversation as it is kept.
 *
 * @typedef {object} Kept
 * @property {string} id
 * @property {readonly Turn[]} turns
 */

/** A conversation. Its turns may be answered by different models. */
export class Conversation {
  id;
  /** @type {Turn[]} */
  turns;

  /** @param {Kept} kept */
  constructor({ id, turns }) {
    this.id = id;
    this.turns = [...turns];
  }

  /** What the list of conversations calls it. @param {Kept} kept */
  static titleOf({ turns }) {
    const [line = ''] = (turns[0]?.prompt ?? '').trim().split('\n');
    return line.length > 60 ? `${line.slice(0, 59)}…` : line;
  }

  /**
   * Removes a turn and those after it. A chat goes on from what is left.
   *
   * @param {number} index
   * @returns {Turn | undefined} the removed turn
   */
  cut(index) {
    return this.turns.splice(index)[0];
  }

  /**
   * The messages of a chat, up to a new prompt. Continued texts are not part of it, nor are prompts without an answer,
   * since many templates need the roles to alternate.
   *
   * @param {string} prompt
   * @returns {Message[]}
   */
  messagesTo(prompt) {
    const answered = this.turns.filter(({ kind, answer }) => kind === 'chat' && answer !== '');
    return [
      ...answered.flatMap((turn) => [
        /** @type {const} */ ({ role: 'user', content: turn.prompt }),
        /** @type {const} */ ({ role: 'assistant', content: turn.answer }),
      ]),
      { role: 'user', content: prompt },
    ];
  }
}

/**
 * How much of a model's context the last answer and its prompt have used. The next message begins after them.
 *
 * @param {Usage | null} usage
 * @param {Pick<ModelCard, 'max_model_len'> | null} model
 * @returns {string}
 */
export function contextLine(usage, model) {
  const room = model?.max_model_len ?? null;
  if (usage === null) return room === null ? '' : `Context: ${count(room)} tokens`;
  const used = usage.prompt_tokens + usage.completion_tokens;
  if (room === null) return `Context: ${count(used)} tokens used`;
  return `Context: ${count(used)} of ${count(room)} tokens used, ${count(Math.max(room - used, 0))} left`;
}

/** @param {number} tokens */
const count = (tokens) => tokens.toLocaleString('en');
