import type { Tokenizer } from './tokenizer.ts';
import type { TokenizingThread } from './tokenizing-thread.ts';

/** A text's tokens, with those a tokenizer adds by itself or without. */
export type EncodeText = (text: string, addSpecialTokens: boolean) => Promise<readonly number[]>;

/** Longer texts, in characters, would hold up everyone else for milliseconds. */
const longest = 2048;

/** Encodes short texts at once and long ones on `thread`. @param checkpoint folder of the same tokenizer */
export function encodeText(
  tokenizer: Pick<Tokenizer, 'encode'>,
  checkpoint: string,
  thread: Pick<TokenizingThread, 'encode'>,
): EncodeText {
  return async (text, addSpecialTokens) =>
    text.length <= longest
      ? tokenizer.encode(text, addSpecialTokens)
      : thread.encode(checkpoint, text, addSpecialTokens);
}
