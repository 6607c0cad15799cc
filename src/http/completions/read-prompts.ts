import { type PromptReading, readPrompt } from '../generation/read-prompt.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { Prompt } from '../schemas/completion-request.ts';

export type SinglePrompt = string | number[];

const nouns = { prompt: 'prompt', completion_prefix: 'prefix' };

/** What the texts of one request may come to. */
export interface PromptLimits {
  prompts: number;
  tokens: number;
}

/** A list of numbers is one prompt, every other list holds one prompt an item. */
export function separatePrompts(prompt: Prompt): SinglePrompt[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as SinglePrompt[]);
}

/**
 * The tokens of each prompt, or prefix. Stops at the first that is over a limit.
 * @throws ServiceError `invalid_request`
 */
export async function readPrompts(
  prompts: readonly SinglePrompt[],
  limits: PromptLimits,
  reading: Omit<PromptReading, 'name' | 'param'> & { param: keyof typeof nouns },
): Promise<(readonly number[])[]> {
  const { param } = reading;
  const noun = nouns[param];
  if (prompts.length > limits.prompts) {
    throw invalidRequest(
      param,
      `\`${param}\` has ${prompts.length} prompts; with this \`n\`, at most ${limits.prompts} are taken at once.`,
    );
  }
  let total = 0;
  const read: (readonly number[])[] = [];
  for (const [index, single] of prompts.entries()) {
    const name = prompts.length > 1 ? `${noun[0]!.toUpperCase()}${noun.slice(1)} ${index}` : `The ${noun}`;
    const tokens = await readPrompt(single, { ...reading, name });
    total += tokens.length;
    if (total > limits.tokens) {
      throw invalidRequest(
        param,
        `Up to ${noun} ${index} there are ${total} tokens; with this \`n\`, at most ${limits.tokens} are taken at once.`,
      );
    }
    read.push(tokens);
  }
  return read;
}
