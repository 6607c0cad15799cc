import { Detokenizer } from '../../engine/worker/output-text.ts';
import type { SinglePrompt } from '../generation/read-prompt.ts';
import { Turns } from '../json/in-turns.ts';
import type { ReadyModel } from '../models/find-model.ts';

/** A prompt or completion prefix as the answer repeats it at its beginning. */
export interface EchoedPrompt {
  tokens: readonly number[];
  text: string;
  /** What each token adds to the text; null if the text is the client's own and its tokens are not requested. */
  pieces: readonly string[] | null;
}

export interface EchoOptions {
  /** The tokens are the whole prompt, not a truncated one. */
  isWhole: boolean;
  skipSpecialTokens: boolean;
  /** The answer needs each token's place in the text. */
  hasLogprobs: boolean;
}

/**
 * The text of a prompt: the client's own if the tokens decode to it, else the decoded tokens.
 *
 * The tokenizer may have added special tokens before and after a text. The text leaves those out but keeps special
 * tokens that the client typed.
 */
export async function echoPrompt(
  prompt: SinglePrompt,
  tokens: readonly number[],
  vocabulary: ReadyModel['vocabulary'],
  { isWhole, skipSpecialTokens, hasLogprobs }: EchoOptions,
): Promise<EchoedPrompt> {
  if (typeof prompt === 'string' && isWhole) {
    if (!hasLogprobs) return { tokens, text: prompt, pieces: null };
    const last = tokens.length - 1;
    const framed = [0, last].filter((place) => vocabulary.isSpecial(tokens[place]!));
    for (const hidden of [framed, framed.slice(0, 1), framed.slice(1), []]) {
      const read = await readPieces(tokens, vocabulary, (_, place) => hidden.includes(place));
      if (read.text === prompt) return read;
    }
  }
  return readPieces(tokens, vocabulary, (token) => skipSpecialTokens && vocabulary.isSpecial(token));
}

async function readPieces(
  tokens: readonly number[],
  vocabulary: ReadyModel['vocabulary'],
  isHidden: (token: number, place: number) => boolean,
): Promise<EchoedPrompt> {
  const decoder = new Detokenizer(vocabulary, { skipSpecialTokens: false, startsText: true });
  const turns = new Turns();
  const pieces: string[] = [];
  for (const [place, token] of tokens.entries()) {
    pieces.push(isHidden(token, place) ? '' : decoder.add(token));
    if (place % 64 === 63) await turns.next();
  }
  return { tokens, text: pieces.join('') + decoder.flush(), pieces };
}
