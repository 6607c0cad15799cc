import type { Vocabulary } from '../catalog/vocabulary.ts';
import { type Grammar, GrammarError, type GrammarSource } from '../sampling/grammar.ts';
import { loadNativeAddon } from './native-addon.ts';

/** Before the written form of a special token: no text has such a byte. */
const specialMark = Uint8Array.of(0xff);

/** Grammars are compiled one at a time; who waits longer than this is refused. */
const mostWaitMs = 5000;
/** Compiled grammars that are kept for those who ask for the same again. */
const mostKept = 64;

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

const kept = new Map<string, Promise<Grammar>>();
let last: Promise<unknown> = Promise.resolve();

/**
 * Compiles a source for a model whose tokens were kept, off this thread.
 * @throws GrammarError
 */
export function compileGrammar(model: string, source: GrammarSource): Promise<Grammar> {
  const key = JSON.stringify([model, source]);
  const grammar = kept.get(key) ?? compileNext(model, source);
  // Moved to the end: the least recently used go first.
  kept.delete(key);
  kept.set(key, grammar);
  if (kept.size > mostKept) kept.delete(kept.keys().next().value!);
  grammar.catch(() => kept.delete(key));
  return grammar;
}

async function compileNext(model: string, source: GrammarSource): Promise<Grammar> {
  const addon = requireAddon();
  const grammar = last.then(() => addon.compileGrammar(model, source));
  last = grammar.catch(() => {});
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it takes more than ${mostWaitMs / 1000} s`)), mostWaitMs);
  try {
    return await Promise.race([grammar, late]);
  } catch (error) {
    throw new GrammarError((error as Error).message);
  } finally {
    clearTimeout(timer);
  }
}

function requireAddon() {
  const native = loadNativeAddon();
  if (native.addon === null) throw new Error(native.reason);
  return native.addon;
}
