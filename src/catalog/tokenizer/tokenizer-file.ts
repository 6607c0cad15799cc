import { join } from 'node:path';
import { ConfigurationError } from '../../errors.ts';
import { readCheckpointFile } from '../checkpoint-file.ts';

/** Maximum bytes of a file. The largest have a fifth of this. */
const maxBytes = 2 ** 28;

/** @throws ConfigurationError if the file is missing, too large or not JSON */
export function readTokenizerFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readCheckpointFile(file, maxBytes);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError(
      `${file} cannot be read: a checkpoint needs tokenizer.json and tokenizer_config.json next to its config.json.`,
      { cause: error },
    );
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigurationError(`${file} is not valid JSON: copy it again from the checkpoint.`, {
      cause: error,
    });
  }
}

/**
 * One more than the highest id of a token that is not an added one: the minimum vocabulary of a model for this
 * tokenizer.json. Its `model.vocab` maps tokens to ids, or lists tokens in the order of their ids (Unigram).
 */
export function ownTokens(tokenizerJson: Record<string, unknown>): number {
  const { model, added_tokens } = tokenizerJson as {
    model?: { vocab?: unknown } | null;
    added_tokens?: unknown;
  };
  const added = new Set(Array.isArray(added_tokens) ? added_tokens.map((token) => token?.id) : []);
  const vocab = model?.vocab ?? {};
  const ids: unknown[] = Array.isArray(vocab) ? [...vocab.keys()] : Object.values(vocab);
  return ids.reduce<number>(
    (most, id) => (Number.isSafeInteger(id) && !added.has(id) ? Math.max(most, (id as number) + 1) : most),
    0,
  );
}

/**
 * @throws ConfigurationError if the tokenizer belongs to another model: its own tokens have ids that the model lacks.
 * Added tokens may have such ids (Gemma 3's `<image_soft_token>` is one past the end); prompts with them are refused.
 */
export function requireVocabulary(checkpoint: string, ownTokens: number, vocabSize: number): void {
  if (ownTokens <= vocabSize) return;
  throw new ConfigurationError(
    `${join(checkpoint, 'tokenizer.json')}: has token ids up to ${ownTokens - 1}, but ` +
      `the model's vocab_size is ${vocabSize}; copy both files from the same checkpoint`,
  );
}
