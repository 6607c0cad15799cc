import type { Vocabulary } from '../../catalog/tokenizer/vocabulary.ts';

/** The parts of a vocabulary that the detokenizer needs. */
export type TokenBytes = Pick<Vocabulary, 'tokenBytes' | 'isSpecial' | 'leadingSpaces'>;

export interface DetokenizerOptions {
  skipSpecialTokens: boolean;
  /** Tokens with a text of their own; none by default. No other token can write these characters. */
  specialTexts?: ReadonlyMap<number, string>;
  /** The tokens start a text instead of continuing the prompt, so the tokenizer's leading spaces are dropped. */
  startsText: boolean;
}

/** Turns one completion's tokens into text as they arrive; never returns part of a character. */
export class Detokenizer {
  readonly #tokenizer: TokenBytes;
  readonly #skipSpecialTokens: boolean;
  readonly #specialTexts: ReadonlyMap<number, string>;
  /** `ignoreBOM` keeps a byte-order mark as text. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #spacesToDrop: number;

  constructor(tokenizer: TokenBytes, options: DetokenizerOptions) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens;
    this.#specialTexts = options.specialTexts ?? new Map();
    this.#spacesToDrop = options.startsText ? tokenizer.leadingSpaces : 0;
  }

  /** Returns the text that `token` completes. */
  add(token: number): string {
    const own = this.#specialTexts.get(token);
    if (own !== undefined) return this.#dropSpaces(this.#decoder.decode() + own);
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(token)) return '';
    const text = this.#dropSpaces(this.#decoder.decode(this.#tokenizer.tokenBytes(token), { stream: true }));
    return this.#specialTexts.size > 0 ? text.replaceAll(/[\ufdd0-\ufdef]/g, '\ufffd') : text;
  }

  /** Returns an unfinished character at the end of the completion as U+FFFD. */
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

/** What StopStrings returns for a piece of text. */
export interface StopResult {
  /** Text that no later stop string can remove. */
  text: string;
  /** The stop string that ended the text here, if one did. */
  matched: string | null;
}

/**
 * Finds stop strings in text that arrives in pieces; the result does not depend on where the pieces split. The match
 * that ends first wins; among matches that end together, the longest wins. Holds back only the longest suffix that can
 * still become a stop string.
 */
export class StopStrings {
  readonly #strings: readonly string[];
  readonly #includeInOutput: boolean;
  readonly #longest: number;
  #held = '';

  /** @param includeInOutput keep the matched stop string in the text */
  constructor(strings: readonly string[], includeInOutput: boolean) {
    this.#strings = [...strings].sort((a, b) => b.length - a.length);
    this.#includeInOutput = includeInOutput;
    this.#longest = this.#strings[0]?.length ?? 0;
  }

  /**
   * Must not be called again after a match.
   * @param isSuspended ignore stop strings that end within this piece
   */
  add(piece: string, isSuspended = false): StopResult {
    const text = this.#held + piece;
    const match = isSuspended ? null : this.#firstMatch(text, this.#held.length);
    if (match) {
      this.#held = '';
      return { text: text.slice(0, this.#includeInOutput ? match.end : match.start), matched: match.string };
    }
    const held = this.#openSuffix(text);
    this.#held = text.slice(text.length - held);
    return { text: text.slice(0, text.length - held), matched: null };
  }

  /** Returns the text held back, once no more text comes. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Earlier calls ruled out matches that end within the first `checked` characters. */
  #firstMatch(text: string, checked: number): { string: string; start: number; end: number } | null {
    let first: { string: string; start: number; end: number } | null = null;
    for (const string of this.#strings) {
      const start = text.indexOf(string, Math.max(0, checked - string.length + 1));
      const end = start + string.length;
      if (start >= 0 && (first === null || end < first.end)) first = { string, start, end };
    }
    return first;
  }

  /** Length of the longest suffix that is a proper prefix of a stop string. */
  #openSuffix(text: string): number {
    for (let length = Math.min(text.length, this.#longest - 1); length > 0; length--) {
      const suffix = text.slice(text.length - length);
      if (this.#strings.some((string) => string.length > length && string.startsWith(suffix))) return length;
    }
    return 0;
  }
}
