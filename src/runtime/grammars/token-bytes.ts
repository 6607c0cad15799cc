import type { Vocabulary } from '../../catalog/tokenizer/vocabulary.ts';
import { loadNativeAddon, type NativeAddon } from '../native/native-addon.ts';

/** Prefix of a special token's written form: a byte that no text contains. */
const specialMark = Uint8Array.of(0xff);

/**
 * Gives the addon the bytes of a model's tokens, so that any thread can compile grammars for the model.
 * @param vocabSize number of ids in the model; the vocabulary may hold fewer
 */
export function keepTokenBytes(
  model: string,
  vocabulary: Pick<Vocabulary, 'tokenBytes' | 'isSpecial'>,
  vocabSize: number,
  endTokens: readonly number[],
): void {
  const words = Array.from({ length: vocabSize }, (_, id) => {
    const bytes = vocabulary.tokenBytes(id);
    return vocabulary.isSpecial(id) ? Buffer.concat([specialMark, bytes]) : bytes;
  });
  const lengths = Int32Array.from(words, ({ length }) => length);
  requireAddon().keepTokenBytes(model, Buffer.concat(words), lengths, endTokens);
}

/** Frees what `keepTokenBytes` gave it, once no grammar uses it. */
export function forgetTokenBytes(model: string): void {
  requireAddon().forgetTokenBytes(model);
}

export function requireAddon(): NativeAddon {
  const native = loadNativeAddon();
  if (native.addon === null) throw new Error(native.reason);
  return native.addon;
}
