import { invalidRequest } from '../errors/invalid-request.ts';
import { nonEmptyText, tokenId } from './generation-fields.ts';
import { type PromptReading, readPrompt } from './read-prompt.ts';

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
