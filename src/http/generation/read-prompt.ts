import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { ReadModel, ReadyModel } from '../models/find-model.ts';
import { nonEmptyText, tokenId } from './generation-fields.ts';

/** Maximum bytes of a token in any vocabulary. A text above this times the room is too long; no need to tokenize it. */
const longestTokenBytes = 128;

export interface PromptReading {
  model: ReadyModel;
  owner: TextOwner;
  /** The prompt's field, for errors. */
  param: string;
  /** The prompt's name in error messages. */
  name: string;
  /** Maximum tokens of the prompt. */
  room: number;
  /** Run the tokenizer's post-processor on a text. */
  addSpecialTokens: boolean;
  /** As requested: last tokens to keep of a longer prompt; -1: as many as leave room to generate; null: refuse it. */
  truncateTo: number | null;
  /** The tokens to generate after the prompt. */
  toGenerate: AskedTokens;
}

/** Maximum tokens of a prompt, with room to generate one token if any is requested. */
export function promptRoom(
  { manifest, capacity, encoderCapacity }: ReadyModel,
  toGenerate: AskedTokens,
): number {
  if (manifest.graphs.encoder) return encoderCapacity;
  return toGenerate.asked === 0 ? capacity : capacity - 1;
}

/** Maximum tokens of the prompt, with room for all tokens to generate. */
function roomBeside({ model: { manifest, capacity, encoderCapacity }, toGenerate }: PromptReading): number {
  if (manifest.graphs.encoder) return encoderCapacity;
  const { asked, fallback } = toGenerate;
  const generated = asked ?? (fallback < capacity ? fallback : 1);
  return Math.max(1, capacity - generated);
}

/** What an operator can raise. */
const limitSource = ({ isCacheLimit }: ReadyModel) =>
  isCacheLimit ? ', as many as ALTUP_CACHE_MEMORY has room for' : '';

/** How many of the last tokens to keep; null: keep all, or refuse a prompt that is too long. */
function readTruncation(reading: PromptReading): number | null {
  const { truncateTo, room } = reading;
  if (truncateTo === null) return null;
  if (truncateTo === -1) return roomBeside(reading);
  if (truncateTo >= 1 && truncateTo <= room) return truncateTo;
  throw invalidRequest(
    'truncate_prompt_tokens',
    `\`truncate_prompt_tokens\` must be -1 or a whole number from 1 to ${room}, this model's maximum, not ${truncateTo}.`,
  );
}

/** @throws ServiceError `invalid_request` for a media token, which a text-only model cannot use */
function refuseMedia(
  tokens: readonly number[],
  { model, param, name }: { model: ReadModel; param: string; name: string },
): void {
  for (const [medium, ids] of Object.entries(model.manifest.mediaTokens)) {
    const at = tokens.findIndex((token) => ids.includes(token));
    if (at < 0) continue;
    throw invalidRequest(
      param,
      `${name} has the ${medium} token ${tokens[at]} at position ${at}; the model takes text only.`,
    );
  }
}

/** A prompt's tokens. @throws ServiceError `invalid_request` if there are none, too many, or some that are not text */
export async function readPrompt(
  prompt: string | readonly number[],
  reading: PromptReading,
): Promise<readonly number[]> {
  const { param, name, room } = reading;
  const kept = readTruncation(reading);
  const tooLong = (size: string) =>
    invalidRequest(
      param,
      `${name} has ${size}; the model takes at most ${room} tokens${limitSource(reading.model)}.`,
    );
  if (typeof prompt === 'string' && kept === null && prompt.length > room * longestTokenBytes)
    throw tooLong(`${prompt.length} characters`);
  const { count, tokens } =
    typeof prompt === 'string'
      ? await encode(prompt, kept ?? room, reading)
      : { count: prompt.length, tokens: prompt.slice(-(kept ?? room)) };
  if (count === 0) throw invalidRequest(param, `${name} has no token.`);
  if (kept === null && count > room) throw tooLong(`${count} tokens`);
  checkTokenIds(param, tokens, reading.model.manifest.vocabSize);
  refuseMedia(tokens, reading);
  return tokens;
}

async function encode(
  text: string,
  last: number,
  { model, owner, addSpecialTokens }: PromptReading,
): Promise<{ count: number; tokens: readonly number[] }> {
  const [encoded] = await model.texts.encode({ texts: [text], addSpecialTokens, last }, owner);
  return { count: encoded!.count, tokens: Array.from(encoded!.tokens) };
}

interface AskedTokens {
  /** The field with the number of tokens to generate. */
  param: string;
  /** null: the request does not say. */
  asked: number | null;
  /** The number if the request does not say, unless the room is smaller. */
  fallback: number;
}

/**
 * Number of tokens to generate after those that the decoder reads: the prompt, or an encoder-decoder model's prefix.
 * @throws ServiceError `invalid_request` with the numbers if the request asks for more than fit
 */
export function readMaxTokens(
  { param, asked, fallback }: AskedTokens,
  { length }: readonly number[],
  model: ReadyModel,
): number {
  const { capacity, manifest } = model;
  const room = capacity - length;
  if (asked === null) return Math.min(fallback, room);
  if (asked <= room) return asked;
  throw invalidRequest(
    param,
    manifest.graphs.encoder
      ? `\`${param}\` is ${asked}; this model generates at most ${room}${length === 0 ? '' : ` after a prefix of ${length} tokens`}.`
      : `The prompt's ${length} tokens plus \`${param}\` of ${asked} exceed this model's limit of ${capacity} tokens${limitSource(model)}.`,
  );
}

/** @throws ServiceError `invalid_request` naming the first id outside the vocabulary */
export function checkTokenIds(param: string, ids: readonly number[], vocabSize: number): void {
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined) {
    throw invalidRequest(
      param,
      `\`${param}\` has the token id ${outside}, which is outside the vocabulary: its ids go from 0 to ${vocabSize - 1}.`,
    );
  }
}

const tokenIds = { type: 'array', items: tokenId, minItems: 1 };

export type SinglePrompt = string | number[];
/** One prompt or several. */
export type Prompt = SinglePrompt | string[] | number[][];

/** The keywords of a field with prompts. */
export const promptForms = {
  anyOf: [
    nonEmptyText,
    { type: 'array', items: nonEmptyText, minItems: 1 },
    tokenIds,
    { type: 'array', items: tokenIds, minItems: 1 },
  ],
  'x-expects':
    'a non-empty string, a list of non-empty strings, a list of token ids, or a list of non-empty lists of token ids',
};

/** A list of numbers is one prompt; any other list has one prompt per item. */
export function separatePrompts(prompt: Prompt): SinglePrompt[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as SinglePrompt[]);
}

const nouns = { prompt: 'prompt', completion_prefix: 'prefix', input: 'input' };

/** Checks the prompts that are token ids. @throws ServiceError `invalid_request` for ids that the model does not take */
export function checkGivenTokens(
  prompts: readonly SinglePrompt[],
  param: keyof typeof nouns,
  model: ReadModel,
): void {
  for (const [index, prompt] of prompts.entries()) {
    if (typeof prompt === 'string') continue;
    checkTokenIds(param, prompt, model.manifest.vocabSize);
    refuseMedia(prompt, { model, param, name: nameOf(param, index, prompts.length === 1) });
  }
}

/** Maximum prompts and tokens of one request. */
interface PromptLimits {
  prompts: number;
  tokens: number;
  /** What else the limits depend on, for errors. */
  given: 'with this `n`, ' | '';
}

/** The name of one of several prompts, for errors. */
function nameOf(param: keyof typeof nouns, index: number, isOnly: boolean): string {
  if (param === 'input') return isOnly ? '`input`' : `\`input[${index}]\``;
  const noun = nouns[param];
  return isOnly ? `The ${noun}` : `${noun[0]!.toUpperCase()}${noun.slice(1)} ${index}`;
}

/**
 * The tokens of each prompt, prefix or input. Stops at the first that exceeds a limit.
 * @throws ServiceError `invalid_request`
 */
export async function readPrompts(
  prompts: readonly SinglePrompt[],
  limits: PromptLimits,
  reading: Omit<PromptReading, 'name' | 'param'> & { param: keyof typeof nouns },
): Promise<(readonly number[])[]> {
  const { param } = reading;
  const { given } = limits;
  const noun = nouns[param];
  if (prompts.length > limits.prompts) {
    const things = param === 'input' ? 'inputs' : 'prompts';
    throw invalidRequest(
      param,
      `\`${param}\` has ${prompts.length} ${things}; ${given}the maximum is ${limits.prompts}.`,
    );
  }
  let total = 0;
  const read: (readonly number[])[] = [];
  for (const [index, single] of prompts.entries()) {
    const name = nameOf(param, index, prompts.length === 1);
    const tokens = await readPrompt(single, { ...reading, name });
    total += tokens.length;
    if (total > limits.tokens) {
      throw invalidRequest(
        param,
        `The tokens up to ${noun} ${index} add up to ${total}; ${given}the maximum is ${limits.tokens} (ALTUP_MAX_QUEUED_TOKENS, ALTUP_CLIENT_QUEUE_SHARE).`,
      );
    }
    read.push(tokens);
  }
  return read;
}
