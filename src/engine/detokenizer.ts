import type { Vocabulary } from '../catalog/vocabulary.ts';

/** What the detokenizer needs of a vocabulary. */
export type TokenBytes = Pick<Vocabulary, 'tokenBytes' | 'isSpecial' | 'leadingSpaces'>;

export interface DetokenizerOptions {
  skipSpecialTokens: boolean;
  /** The tokens begin a text rather than go on with the prompt, so the tokenizer's leading spaces are dropped. */
  startsText: boolean;
}

/** Turns one completion's tokens into text as they come; never gives out part of a character. */
export class Detokenizer {
  readonly #tokenizer: TokenBytes;
  readonly #skipSpecialTokens: boolean;
  /** A byte-order mark is text like any other. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #spacesToDrop: number;

  constructor(tokenizer: TokenBytes, options: DetokenizerOptions) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens;
    this.#spacesToDrop = options.startsText ? tokenizer.leadingSpaces : 0;
  }

  /** The text that became complete with `token`. */
  add(token: number): string {
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(token)) return '';
    return this.#dropSpaces(this.#decoder.decode(this.#tokenizer.tokenBytes(token), { stream: true }));
  }

  /** An unfinished character at the end of the completion, as U+FFFD. */
  flush(): string {
    return this.#dropSpaces(this.#decoder.decode());
  }

  #dropSpaces(text: string): string {
    if (this.#spacesToDrop === 0 || text === '') return text;
    let dropped = 0;
    while (dropped < this.#spacesToDrop && text[dropped] === ' ') dropped++;
    this.#spacesToDrop = dropped < text.length ? 0 : this.#spacesToDrop - dropped;
    return text.slice(dropped);
  }
}
