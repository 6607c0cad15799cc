const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A token as a string of its own; bytes that are no whole character as `bytes:\xe2\x80`. */
export function tokenText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

/** A vocabulary as it crosses from one process or thread to another. */
export interface VocabularyData {
  /** Bytes of all tokens, one after another. */
  bytes: Uint8Array;
  /** By id: where the token's bytes end. */
  ends: Uint32Array;
  /** By id: 1 for a special token. */
  special: Uint8Array;
  /** One more than the highest id of a token that is not an added one: so many a model of this tokenizer has at least. */
  ownTokens: number;
  /** Spaces the decoder drops at the very start of a text (SentencePiece writes one before the first word). */
  leadingSpaces: number;
}

const none = new Uint8Array();

/** What a checkpoint's tokens stand for. Plain data: nothing of the checkpoint's own runs here. */
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

  /** The exact bytes a token stands for in running text; special tokens give their written form, unknown ids nothing. */
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
    // Byte by byte: a view for each of a hundred thousand tokens would take ten times as long.
    for (const id of kept) for (let i = startOf(id); i < ends[id]!; i++) whole[at++] = bytes[i]!;
    const text = whole.toString('utf8');
    let dropped = 0;
    while (dropped < this.leadingSpaces && text[dropped] === ' ') dropped++;
    return text.slice(dropped);
  }
}
