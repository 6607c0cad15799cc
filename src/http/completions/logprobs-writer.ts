import { tokenText } from '../../catalog/token-text.ts';
import { Detokenizer } from '../../engine/detokenizer.ts';
import type { TokenLogprobs } from '../../sampling/sampled-token.ts';
import type { ReadyModel } from '../find-model.ts';
import { finite } from '../generation/finite.ts';
import { Turns } from '../in-turns.ts';
import type { CompletionLogprobs } from '../schemas/completion-response.ts';
import type { EchoedPrompt } from './echoed-prompt.ts';

interface LogprobsWriterOptions {
  /** Alternatives to write with each token, at most. */
  alternatives: number;
  skipSpecialTokens: boolean;
  /** The completion begins a text rather than go on with the prompt. */
  startsText: boolean;
}

interface ScoredTokens {
  tokens: readonly number[];
  /** null for a token that nothing comes before. */
  logprobs: readonly (TokenLogprobs | null)[];
}

/**
 * Writes the log probabilities of one choice's tokens as they come, with where each token's text begins: as many
 * characters as the decoder that makes the text has given before.
 */
export class LogprobsWriter {
  readonly #vocabulary: ReadyModel['vocabulary'];
  readonly #alternatives: number;
  readonly #decoder: Detokenizer;
  /** Unicode characters so far. */
  #offset = 0;

  constructor(vocabulary: ReadyModel['vocabulary'], { alternatives, ...decoding }: LogprobsWriterOptions) {
    this.#vocabulary = vocabulary;
    this.#alternatives = alternatives;
    this.#decoder = new Detokenizer(vocabulary, decoding);
  }

  /** @param echoed the prompt, where the choice begins with it; with the first tokens only */
  async write(
    completion: ScoredTokens,
    echoed: (ScoredTokens & { prompt: EchoedPrompt }) | null = null,
  ): Promise<CompletionLogprobs> {
    const written: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    if (echoed !== null) {
      const { text, pieces } = echoed.prompt;
      await this.#append(written, echoed, (_, index) => pieces?.[index] ?? '');
      // A character that the prompt does not finish is part of its text.
      this.#offset = countCharacters(text);
    }
    await this.#append(written, completion, (token) => this.#decoder.add(token));
    return written;
  }

  async #append(
    written: CompletionLogprobs,
    { tokens, logprobs }: ScoredTokens,
    pieceOf: (token: number, index: number) => string,
  ): Promise<void> {
    const turns = new Turns();
    for (const [index, token] of tokens.entries()) {
      const scored = logprobs[index] ?? null;
      written.tokens.push(tokenText(this.#vocabulary.tokenBytes(token)));
      written.token_logprobs.push(scored && finite(scored.logprob));
      written.top_logprobs.push(scored && this.#top(token, scored));
      written.text_offset.push(this.#offset);
      this.#offset += countCharacters(pieceOf(token, index));
      if (index % 64 === 63) await turns.next();
    }
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
}

/** Surrogate pairs count once. */
function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
