import { join } from 'node:path';
import { ConfigurationError } from '../errors.ts';
import { ChatTemplate } from './chat-template.ts';
import { type EncodeText, encodeText } from './encode-text.ts';
import { type GenerationDefaults, readGenerationDefaults } from './generation-defaults.ts';
import type { Manifest } from './manifest.ts';
import { Tokenizer } from './tokenizer.ts';
import type { TokenizingThread } from './tokenizing-thread.ts';

/** What a checkpoint's models share, whatever their precision. */
export interface Texts {
  tokenizer: Tokenizer;
  encode: EncodeText;
  chatTemplate: ChatTemplate | null;
  defaults: GenerationDefaults;
}

/** @throws ConfigurationError naming the file at fault */
export async function readTexts(checkpoint: string, thread: TokenizingThread): Promise<Texts> {
  const tokenizer = Tokenizer.load(checkpoint);
  return {
    tokenizer,
    encode: encodeText(tokenizer, checkpoint, thread),
    chatTemplate: ChatTemplate.load(checkpoint),
    defaults: await readGenerationDefaults(checkpoint),
  };
}

/** @throws ConfigurationError for a tokenizer that can give ids the model does not have */
export function requireVocabulary(checkpoint: string, { tokenizer }: Texts, { vocabSize }: Manifest): void {
  if (tokenizer.vocabSize <= vocabSize) return;
  throw new ConfigurationError(
    `${join(checkpoint, 'tokenizer.json')}: has token ids up to ${tokenizer.vocabSize - 1}, ` +
      `the model's vocab_size is ${vocabSize}; they do not belong together`,
  );
}
