import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { Prompt } from '../schemas/completion-request.ts';
import { checkTokenIds } from './vocabulary.ts';

type SinglePrompt = string | number[];

/** A list of numbers is one prompt, every other list holds one prompt an item. */
function separate(prompt: Prompt): SinglePrompt[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as SinglePrompt[]);
}

/** Most prompt tokens the model has room for, with at least one token to generate. */
function promptLimit({ manifest, capacity, encoderCapacity }: ReadyModel): number {
  return manifest.graphs.encoder ? encoderCapacity : capacity - 1;
}

/**
 * The tokens of each prompt.
 * @param countLimit most prompts; checked before any is tokenized
 * @throws ServiceError `invalid_request`
 */
export function readPrompts(prompt: Prompt, model: ReadyModel, countLimit: number): number[][] {
  const prompts = separate(prompt);
  if (prompts.length > countLimit) {
    throw invalidRequest(
      'prompt',
      `\`prompt\` has ${prompts.length} prompts; with this \`n\`, at most ${countLimit} are taken at once`,
    );
  }
  const limit = promptLimit(model);
  return prompts.map((single, index) => {
    const name = prompts.length > 1 ? `prompt ${index}` : 'the prompt';
    if (typeof single !== 'string') checkTokenIds('prompt', single, model.manifest.vocabSize);
    const tokens = typeof single === 'string' ? model.tokenizer.encode(single) : single;
    if (tokens.length === 0) throw invalidRequest('prompt', `${name} has no token`);
    if (tokens.length > limit) {
      throw invalidRequest('prompt', `${name} has ${tokens.length} tokens; the model takes at most ${limit}`);
    }
    return tokens;
  });
}
