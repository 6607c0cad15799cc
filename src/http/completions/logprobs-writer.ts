import { charactersBegun, tokenText } from '../../catalog/token-text.ts';
import type { TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { ReadyModel } from '../find-model.ts';
import { finite } from '../generation/finite.ts';
import { Turns } from '../in-turns.ts';
import type { CompletionLogprobs } from '../schemas/completion-response.ts';

interface LogprobsWriterOptions {
  /** Alternatives to write with each token, at most. */
  alternatives: number;
  skipSpecialTokens: boolean;
  /** The first token is the first of the text, so the tokenizer's leading spaces are dropped. */
  startsText: boolean;
}

/** Writes the log probabilities of one choice's tokens as they come, with where each token's text begins. */
export class LogprobsWriter {
  readonly #vocabulary: ReadyModel['vocabulary'];
  readonly #alternatives: number;
  readonly #skipsSpecial: boolean;
  /** Spaces that the text's first token loses. */
  readonly #leadingSpaces: number;
  /** Characters of all tokens so far. */
  #offset = 0;

  constructor(vocabulary: ReadyModel['vocabulary'], options: LogprobsWriterOptions) {
    this.#vocabulary = vocabulary;
    this.#alternatives = options.alternatives;
    this.#skipsSpecial = options.skipSpecialTokens;
    this.#leadingSpaces = options.startsText ? vocabulary.leadingSpaces : 0;
  }

  /** @param logprobs null for a token that nothing comes before */
  async write(
    tokens: readonly number[],
    logprobs: readonly (TokenLogprobs | null)[],
  ): Promise<CompletionLogprobs> {
    const written: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    const turns = new Turns();
    for (const [index, token] of tokens.entries()) {
      const scored = logprobs[index] ?? null;
      written.tokens.push(tokenText(this.#vocabulary.tokenBytes(token)));
      written.token_logprobs.push(scored && finite(scored.logprob));
      written.top_logprobs.push(scored && this.#top(token, scored));
      written.text_offset.push(this.#offset);
      this.#offset += this.#length(token);
      if (index % 64 === 63) await turns.next();
    }
    return written;
  }

  /** Most likely first. Two tokens can read the same: the likelier one counts, and the chosen one before all. */
  #top(token: number, { logprob, top }: TokenLogprobs): Record<string, number> {
    const text = (id: number) => tokenText(this.#vocabulary.tokenBytes(id));
    const byText = new Map<string, number>();
    for (const entry of top.slice(0, this.#alternatives)) {
      if (!byText.has(text(entry.token))) byText.set(text(entry.token), finite(entry.logprob));
    }
    byText.set(text(token), finite(logprob));
    return Object.fromEntries(byText);
  }

  #length(token: number): number {
    if (this.#skipsSpecial && this.#vocabulary.isSpecial(token)) return 0;
    const bytes = this.#vocabulary.tokenBytes(token);
    return charactersBegun(this.#offset === 0 ? this.#afterLeadingSpaces(bytes) : bytes);
  }

  #afterLeadingSpaces(bytes: Uint8Array): Uint8Array {
    let dropped = 0;
    while (dropped < this.#leadingSpaces && bytes[dropped] === 0x20) dropped++;
    return bytes.subarray(dropped);
  }
}
