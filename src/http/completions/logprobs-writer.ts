import { Detokenizer } from '../../engine/worker/output-text.ts';
import type { TokenLogprobs } from '../../sampling/sampled-token.ts';
import { finite, type TokenTexts } from '../generation/answer-parts.ts';
import { type WrittenJson, writeListInTurns } from '../json/in-turns.ts';
import type { ReadyModel } from '../models/find-model.ts';
import type { CompletionLogprobs } from './completion-response.ts';
import type { EchoedPrompt } from './echoed-prompt.ts';

interface LogprobsWriterOptions {
  /** Maximum number of alternatives to write with each token. */
  alternatives: number;
  skipSpecialTokens: boolean;
  /** The completion begins a new text instead of continuing the prompt. */
  startsText: boolean;
}

export type WrittenLogprobs = Omit<CompletionLogprobs, 'top_logprobs'> & { top_logprobs: WrittenJson };

interface ScoredTokens {
  tokens: readonly number[];
  /** null for a token with nothing before it. */
  logprobs: readonly (TokenLogprobs | null)[];
}

interface EchoedTokens extends ScoredTokens {
  prompt: EchoedPrompt;
}

interface PlacedToken {
  token: number;
  score: TokenLogprobs | null;
  /** Number of characters before the token. */
  offset: number;
}

/**
 * Writes the log probabilities of one choice's tokens as they arrive, with the offset of each token's text: the number
 * of characters that the text's decoder has returned before it.
 */
export class LogprobsWriter {
  readonly #texts: TokenTexts;
  readonly #alternatives: number;
  readonly #decoder: Detokenizer;
  /** Unicode characters so far. */
  #offset = 0;

  constructor(
    vocabulary: ReadyModel['vocabulary'],
    texts: TokenTexts,
    { alternatives, ...decoding }: LogprobsWriterOptions,
  ) {
    this.#texts = texts;
    this.#alternatives = alternatives;
    this.#decoder = new Detokenizer(vocabulary, decoding);
  }

  /** @param echoed the prompt, if the choice begins with it; only with the first tokens */
  async write(completion: ScoredTokens, echoed: EchoedTokens | null = null): Promise<WrittenLogprobs> {
    const columns: Omit<WrittenLogprobs, 'top_logprobs'> = {
      tokens: [],
      token_logprobs: [],
      text_offset: [],
    };
    const tops = await writeListInTurns(this.#placed(completion, echoed), ({ token, score, offset }) => {
      columns.tokens.push(this.#texts.of(token));
      columns.token_logprobs.push(score && finite(score.logprob));
      columns.text_offset.push(offset);
      return JSON.stringify(score && this.#top(token, score));
    });
    return { ...columns, top_logprobs: tops };
  }

  *#placed(completion: ScoredTokens, echoed: EchoedTokens | null): Iterable<PlacedToken> {
    if (echoed !== null) {
      const { text, pieces } = echoed.prompt;
      yield* this.#place(echoed, (_, index) => pieces?.[index] ?? '');
      // An unfinished character at the prompt's end is part of the prompt's text.
      this.#offset = countCharacters(text);
    }
    yield* this.#place(completion, (token) => this.#decoder.add(token));
  }

  *#place(
    { tokens, logprobs }: ScoredTokens,
    pieceOf: (token: number, index: number) => string,
  ): Iterable<PlacedToken> {
    for (const [index, token] of tokens.entries()) {
      yield { token, score: logprobs[index] ?? null, offset: this.#offset };
      this.#offset += countCharacters(pieceOf(token, index));
    }
  }

  /** Most likely first. If tokens have the same text, the likelier one counts, but the chosen token always does. */
  #top(token: number, { logprob, top }: TokenLogprobs): Record<string, number> {
    const byText = new Map<string, number>();
    for (const entry of top.slice(0, this.#alternatives)) {
      const text = this.#texts.of(entry.token);
      if (!byText.has(text)) byText.set(text, finite(entry.logprob));
    }
    byText.set(this.#texts.of(token), finite(logprob));
    return Object.fromEntries(byText);
  }
}

/** Surrogate pairs count once. */
function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
