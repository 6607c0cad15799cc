import { ApiError } from '../api/api-error.js';

/** A file may have this many prompts. */
export const maxPrompts = 100;

/** The texts of the lines that are not empty. @param {string} text */
export const linesOf = (text) => text.split(/\r?\n/).filter((line) => line.trim() !== '');

/**
 * The prompts of a file: a list in JSON, JSON by lines, or a text with one prompt a line.
 *
 * @param {string} text
 * @returns {string[]}
 * @throws {ApiError} `bad_file`
 */
export function promptsIn(text) {
  const prompts = readJson(text) ?? linesOf(text);
  if (prompts.length === 0) throw badFile('The file has no prompts.');
  if (prompts.length > maxPrompts)
    throw badFile(`The file has ${prompts.length} prompts; this page takes at most ${maxPrompts}.`);
  return prompts;
}

/** @param {string} message */
const badFile = (message) => new ApiError({ message, code: 'bad_file' });

/** @param {string} text @returns {string[] | null} null: it is not JSON */
function readJson(text) {
  const begin = text.trimStart()[0] ?? '';
  if (!'[{"'.includes(begin)) return null;
  try {
    const whole = JSON.parse(text);
    return (Array.isArray(whole) ? whole : [whole]).map(promptOf);
  } catch (error) {
    if (error instanceof ApiError) throw error;
  }
  try {
    return linesOf(text).map((line) => promptOf(JSON.parse(line)));
  } catch (error) {
    // A text may begin with a quotation mark.
    if (error instanceof ApiError || begin !== '"') throw badFile(String(error));
    return null;
  }
}

/** @param {any} entry @returns {string} */
function promptOf(entry) {
  const prompt = typeof entry === 'string' ? entry : entry?.prompt;
  if (typeof prompt === 'string' && prompt !== '') return prompt;
  throw badFile(`An entry has no prompt: ${JSON.stringify(entry).slice(0, 100)}`);
}
