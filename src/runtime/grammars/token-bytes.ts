import type { Vocabulary } from '../../catalog/tokenizer/vocabulary.ts';
import { loadNativeAddon, type NativeAddon } from '../native/native-addon.ts';

/** Prefix of a special token's written form: a byte that no text contains. */
const specialMark = 0xff;

/**
 * Gives the addon the bytes of a model's tokens, so that any thread can compile grammars for the model.
 * @param vocabSize number of ids in the model; the vocabulary may hold fewer
 */
export function keepTokenBytes(
  model: string,
  { data: { bytes, ends, special } }: Pick<Vocabulary, 'data'>,
  vocabSize: number,
  endTokens: readonly number[],
): void {
  const lengths = new Int32Array(vocabSize);
  const marked = new Uint8Array(bytes.length + special.length);
  let from = 0;
  let to = 0;
  // Byte by byte: a view of each token would leave 40 MB of garbage for a vocabulary of 262,144.
  for (let id = 0; id < Math.min(vocabSize, ends.length); id += 1) {
    const start = to;
    if (special[id] === 1) marked[to++] = specialMark;
    while (from < ends[id]!) marked[to++] = bytes[from++]!;
    lengths[id] = to - start;
  }
  requireAddon().keepTokenBytes(model, marked.subarray(0, to), lengths, endTokens);
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
