import type { ReadyModel } from '../find-model.ts';
import { checkTokenIds } from '../generation/vocabulary.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { Prompt } from '../schemas/completion-request.ts';

type SinglePrompt = string | number[];

/** What the prompts of one request may come to. */
export interface PromptLimits {
  prompts: number;
  tokens: number;
}

/** No vocabulary has longer tokens: text beyond this many bytes a token need not be tokenized to know it is too long. */
const longestTokenBytes = 128;

/** A list of numbers is one prompt, every other list holds one prompt an item. */
function separate(prompt: Prompt): SinglePrompt[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as SinglePrompt[]);
}

/** Most prompt tokens the model has room for, with at least one token to generate. */
function roomForPrompt({ manifest, capacity, encoderCapacity }: ReadyModel): number {
  return manifest.graphs.encoder ? encoderCapacity : capacity - 1;
}

function readPrompt(prompt: SinglePrompt, name: string, model: ReadyModel): number[] {
  const room = roomForPrompt(model);
  const tooLong = (size: string) =>
    invalidRequest('prompt', `${name} has ${size}; the model takes at most ${room} tokens.`);
  if (typeof prompt !== 'string') checkTokenIds('prompt', prompt, model.manifest.vocabSize);
  else if (prompt.length > room * longestTokenBytes) throw tooLong(`${prompt.length} characters`);
  const tokens = typeof prompt === 'string' ? model.tokenizer.encode(prompt) : prompt;
  if (tokens.length === 0) throw invalidRequest('prompt', `${name} has no token.`);
  if (tokens.length > room) throw tooLong(`${tokens.length} tokens`);
  return tokens;
}

/**
 * The tokens of each prompt. Stops at the first that is over a limit: tokenizing holds up all other requests.
 * @throws ServiceError `invalid_request`
 */
export function readPrompts(prompt: Prompt, model: ReadyModel, limits: PromptLimits): number[][] {
  const prompts = separate(prompt);
  if (prompts.length > limits.prompts) {
    throw invalidRequest(
      'prompt',
      `\`prompt\` has ${prompts.length} prompts; with this \`n\`, at most ${limits.prompts} are taken at once.`,
    );
  }
  let total = 0;
  return prompts.map((single, index) => {
    const tokens = readPrompt(single, prompts.length > 1 ? `Prompt ${index}` : 'The prompt', model);
    total += tokens.length;
    if (total > limits.tokens) {
      throw invalidRequest(
        'prompt',
        `Up to prompt ${index} there are ${total} tokens; with this \`n\`, at most ${limits.tokens} are taken at once.`,
      );
    }
    return tokens;
  });
}
