import type { TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { ReadyModel } from '../find-model.ts';
import { charactersBegun, tokenText } from '../generation/token-text.ts';
import type { CompletionLogprobs } from '../schemas/completion-response.ts';

/** JSON has no −∞. */
const floor = -9999;
const finite = (logprob: number) => Math.max(floor, logprob);

/** Writes the log probabilities of one choice's tokens as they come, with where each token's text begins. */
export class LogprobsWriter {
  readonly #tokenizer: ReadyModel['tokenizer'];
  readonly #skipsSpecial: boolean;
  /** Spaces that the text's first token loses. */
  readonly #leadingSpaces: number;
  /** Characters of all tokens so far. */
  #offset = 0;

  constructor({ tokenizer, manifest }: Pick<ReadyModel, 'tokenizer' | 'manifest'>, skipsSpecial: boolean) {
    this.#tokenizer = tokenizer;
    this.#skipsSpecial = skipsSpecial;
    // Where the completion goes on with the prompt, its first token is not the first of the text.
    this.#leadingSpaces = manifest.specialTokens.decoderStart === null ? 0 : tokenizer.leadingSpaces;
  }

  write(tokens: readonly number[], logprobs: readonly TokenLogprobs[]): CompletionLogprobs {
    const text = (id: number) => tokenText(this.#tokenizer.tokenBytes(id));
    const written: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    tokens.forEach((token, index) => {
      const { logprob, top } = logprobs[index]!;
      written.tokens.push(text(token));
      written.token_logprobs.push(finite(logprob));
      // Most likely first. Two tokens can read the same: the likelier one counts, and the chosen one before all.
      const byText = new Map<string, number>();
      for (const entry of top) {
        if (!byText.has(text(entry.token))) byText.set(text(entry.token), finite(entry.logprob));
      }
      byText.set(text(token), finite(logprob));
      written.top_logprobs.push(Object.fromEntries(byText));
      written.text_offset.push(this.#offset);
      this.#offset += this.#length(token);
    });
    return written;
  }

  #length(token: number): number {
    if (this.#skipsSpecial && this.#tokenizer.isSpecial(token)) return 0;
    const bytes = this.#tokenizer.tokenBytes(token);
    return charactersBegun(this.#offset === 0 ? this.#afterLeadingSpaces(bytes) : bytes);
  }

  #afterLeadingSpaces(bytes: Uint8Array): Uint8Array {
    let dropped = 0;
    while (dropped < this.#leadingSpaces && bytes[dropped] === 0x20) dropped++;
    return bytes.subarray(dropped);
  }
}
