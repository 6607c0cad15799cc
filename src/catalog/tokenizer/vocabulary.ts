const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A single token as a string; incomplete characters become `bytes:\xe2\x80`. */
export function tokenText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

/** A vocabulary as sent between processes or threads. */
export interface VocabularyData {
  /** Bytes of all tokens, one after another. */
  bytes: Uint8Array;
  /** By id: where the token's bytes end. */
  ends: Uint32Array;
  /** By id: 1 for a special token. */
  special: Uint8Array;
  /** One more than the highest id of a token that is not an added one: the minimum vocabulary of its model. */
  ownTokens: number;
  /** Spaces that the decoder drops at the start of a text (SentencePiece writes one before the first word). */
  leadingSpaces: number;
}

const none = new Uint8Array();

/** The text of a checkpoint's tokens. Plain data: no code of the checkpoint runs here. */
export class Vocabulary {
  readonly data: VocabularyData;

  constructor(data: VocabularyData) {
    this.data = data;
  }

  /** One more than the highest id. */
  get vocabSize(): number {
    return this.data.ends.length;
  }

  get leadingSpaces(): number {
    return this.data.leadingSpaces;
  }

  /** The exact bytes of a token in running text; special tokens give their written form, unknown ids give nothing. */
  tokenBytes(id: number): Uint8Array {
    const { bytes, ends } = this.data;
    return id < ends.length ? bytes.subarray(id === 0 ? 0 : ends[id - 1], ends[id]) : none;
  }

  isSpecial(id: number): boolean {
    return this.data.special[id] === 1;
  }

  decode(tokens: readonly number[], skipSpecialTokens = false): string {
    const { bytes, ends } = this.data;
    const kept = tokens.filter((id) => id < ends.length && !(skipSpecialTokens && this.isSpecial(id)));
    const startOf = (id: number) => (id === 0 ? 0 : ends[id - 1]!);
    const whole = Buffer.allocUnsafe(kept.reduce((sum, id) => sum + ends[id]! - startOf(id), 0));
    let at = 0;
    // Byte by byte: a view of each token would take ten times as long for a hundred thousand tokens.
    for (const id of kept) for (let i = startOf(id); i < ends[id]!; i++) whole[at++] = bytes[i]!;
    const text = whole.toString('utf8');
    let dropped = 0;
    while (dropped < this.leadingSpaces && text[dropped] === ' ') dropped++;
    return text.slice(dropped);
  }
}
