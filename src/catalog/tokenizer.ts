/** Placeholder contract; see the implementation to come. */
export interface Tokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** @param addSpecialTokens run the post-processor (for T5: append `</s>`); default true */
  encode(text: string, addSpecialTokens?: boolean): number[];
  decode(tokens: readonly number[], skipSpecialTokens?: boolean): string;
  /** The exact bytes a token stands for in running text; special tokens give their written form. */
  tokenBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
}
