import type { Vocabulary } from '../../catalog/tokenizer/vocabulary.ts';
import { loadNativeAddon, type NativeAddon } from '../native/native-addon.ts';

/** Before the written form of a special token: no text has such a byte. */
const specialMark = Uint8Array.of(0xff);

/**
 * Gives the addon the bytes of a model's tokens: from then on grammars can be compiled for the model on any thread.
 * @param vocabSize ids the model knows; the vocabulary may hold fewer
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

export function requireAddon(): NativeAddon {
  const native = loadNativeAddon();
  if (native.addon === null) throw new Error(native.reason);
  return native.addon;
}
