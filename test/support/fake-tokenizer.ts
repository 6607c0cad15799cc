import type { Tokenizer } from '../../src/catalog/tokenizer.ts';

export const eos = 1;
const firstByte = 3;

/** A token for each byte: 3 for byte 0, up to 258; 0, 1 and 2 are special, `</s>` (1) ends every prompt. */
class ByteTokenizer {
  readonly vocabSize = 259;
  readonly leadingSpaces = 1;

  encode(text: string, addSpecialTokens = true): number[] {
    const ids = Array.from(Buffer.from(text), (byte) => byte + firstByte);
    return addSpecialTokens ? [...ids, eos] : ids;
  }

  decode(tokens: readonly number[], skipSpecialTokens = false): string {
    const kept = skipSpecialTokens ? tokens.filter((id) => !this.isSpecial(id)) : tokens;
    return Buffer.concat(kept.map((id) => this.tokenBytes(id))).toString();
  }

  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    return id < firstByte
      ? new TextEncoder().encode(['<pad>', '</s>', '<unk>'][id])
      : Uint8Array.of(id - firstByte);
  }

  isSpecial(id: number): boolean {
    return id < firstByte;
  }
}

export const tokenOf = (character: string): number => character.charCodeAt(0) + firstByte;

/** A stand-in for a tokenizer read from a checkpoint. */
export const fakeTokenizer = (): Tokenizer => new ByteTokenizer() as unknown as Tokenizer;
