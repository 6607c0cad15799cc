import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { ConfigurationError } from '../../errors.ts';
import { inOneLine } from '../checkpoint-file.ts';
import { readTokenizerFile } from './tokenizer-file.ts';
import { Vocabulary, type VocabularyData } from './vocabulary.ts';

/** Turns tokens' written forms into bytes, following the `decoder` of tokenizer.json. */
interface TokenDecoder {
  /** @param isAdded the token is one of `added_tokens`, which byte-level decoders leave as written */
  bytes(token: string, isAdded: boolean): Uint8Array<ArrayBuffer>;
  /** Maximum spaces to drop at the start of a text. */
  readonly leadingSpaces: number;
}

interface DecoderStep {
  type: string;
  decoders?: DecoderStep[];
  replacement?: string;
  prepend_scheme?: string;
  add_prefix_space?: boolean;
  pattern?: { String?: string };
  content?: string;
  start?: number;
  stop?: number;
}

const utf8 = new TextEncoder();

/**
 * Reads the `decoder` object of a tokenizer.json. Supports only decoders that work token by token, because text is
 * streamed: ByteLevel, Metaspace, and the sequences of Replace, ByteFallback, Fuse and Strip that SentencePiece models
 * use.
 * @throws ConfigurationError naming the decoder type that is not supported
 */
function readTokenDecoder(decoder: unknown, file: string): TokenDecoder {
  const steps = flatten(decoder as DecoderStep | null, file);
  if (steps.length === 1 && steps[0]!.type === 'ByteLevel')
    return { bytes: byteLevelBytes, leadingSpaces: 0 };
  return sentencePieceDecoder(steps, file);
}

function flatten(decoder: DecoderStep | null, file: string): DecoderStep[] {
  if (typeof decoder?.type !== 'string')
    throw new ConfigurationError(`${file} has no decoder: it cannot turn tokens into text.`);
  if (decoder.type !== 'Sequence') return [decoder];
  return (decoder.decoders ?? []).flatMap((step) => flatten(step, file));
}

function sentencePieceDecoder(steps: readonly DecoderStep[], file: string): TokenDecoder {
  const replacements: (readonly [from: string, to: string])[] = [];
  let leadingSpaces = 0;
  let hasByteTokens = false;
  let isFused = false;
  for (const step of steps) {
    if (step.type === 'Metaspace') {
      replacements.push([step.replacement ?? '▁', ' ']);
      const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always');
      if (scheme !== 'never') leadingSpaces = 1;
    } else if (step.type === 'Replace' && step.pattern?.String) {
      replacements.push([step.pattern.String, step.content ?? '']);
    } else if (step.type === 'ByteFallback' && !isFused) {
      hasByteTokens = true;
    } else if (step.type === 'Fuse') {
      isFused = true;
    } else if (step.type === 'Strip' && isFused && step.content === ' ' && !step.stop) {
      leadingSpaces = step.start ?? 0;
    } else {
      throw new ConfigurationError(
        `${file}: decoder ${JSON.stringify(step)} is not supported; expected ` +
          'ByteLevel, Metaspace or a sequence of Replace, ByteFallback, Fuse and Strip (of leading spaces).',
      );
    }
  }
  const bytes = (token: string): Uint8Array<ArrayBuffer> => {
    const byte = hasByteTokens ? byteOfFallback(token) : null;
    if (byte !== null) return Uint8Array.of(byte);
    return utf8.encode(replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token));
  };
  return { bytes, leadingSpaces };
}

/** The byte that a token like `<0xE2>` stands for; null for any other token. */
function byteOfFallback(token: string): number | null {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return digits === undefined ? null : Number.parseInt(digits, 16);
}

function byteLevelBytes(token: string, isAdded: boolean): Uint8Array<ArrayBuffer> {
  if (isAdded) return utf8.encode(token);
  const bytes = Array.from(token, (character) => byteOfCharacter.get(character));
  // A token with characters outside the alphabet stands for its own text, as in the reference tokenizers.
  return bytes.includes(undefined) ? utf8.encode(token) : Uint8Array.from(bytes as number[]);
}

/**
 * GPT-2's byte alphabet, reversed: printable bytes stand for themselves in Latin-1; the others follow from U+0100, in
 * ascending order.
 */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const prints = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) map.set(String.fromCharCode(prints(byte) ? byte : next++), byte);
  return map;
})();

/** Maximum size of a checkpoint's vocabulary: several times the largest ones. */
const limits = { tokens: 2 ** 22, tokenBytes: 2 ** 27 };

/**
 * Turns text into tokens and back, following a checkpoint's tokenizer.json. It runs the regular expressions and rules
 * in that file, so the service keeps it in a separate process (text-worker.ts); everything else needs only a
 * `Vocabulary`.
 */
export class Tokenizer extends Vocabulary {
  readonly #tokenizer: HuggingFaceTokenizer;

  /** @param file path of `tokenizerJson`, for messages */
  constructor(tokenizerJson: Record<string, unknown>, tokenizerConfig: object, file = 'tokenizer.json') {
    const decoder = readTokenDecoder(tokenizerJson.decoder, file);
    const tokenizer = new HuggingFaceTokenizer(tokenizerJson, tokenizerConfig);
    super(readVocabulary(tokenizer, decoder, file));
    this.#tokenizer = tokenizer;
  }

  /** @throws ConfigurationError if a file is missing, damaged or of an unsupported kind */
  static load(checkpointFolder: string): Tokenizer {
    const file = join(checkpointFolder, 'tokenizer.json');
    const tokenizerJson = readTokenizerFile(file);
    const tokenizerConfig = readTokenizerFile(join(checkpointFolder, 'tokenizer_config.json'));
    try {
      const tokenizer = new Tokenizer(tokenizerJson, tokenizerConfig, file);
      tokenizer.#freeSource(tokenizerJson);
      return tokenizer;
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      throw new ConfigurationError(
        `${file} is not a tokenizer this service can use: ${inOneLine((error as Error).message)}`,
        {
          cause: error,
        },
      );
    }
  }

  /**
   * Lets go of what the library keeps of the file after it has made tables of it: half of its memory, for a vocabulary
   * of 262,144 tokens. Only for a file that nobody else holds.
   */
  #freeSource({ model }: Record<string, unknown>): void {
    Object.assign(model as object, { vocab: null, merges: null });
    const tables = this.#tokenizer.model as { merges?: unknown } | undefined;
    if (tables?.merges) tables.merges = [];
  }

  /** @param addSpecialTokens run the post-processor (for T5: append `</s>`); default true */
  encode(text: string, addSpecialTokens = true): number[] {
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens });
    // Text that no token covers is dropped if there is no unknown token, as in the reference tokenizers.
    return (ids as (number | undefined)[]).filter((id) => id !== undefined);
  }
}

/** @throws ConfigurationError for a vocabulary larger than any model's */
function readVocabulary(
  tokenizer: HuggingFaceTokenizer,
  decoder: TokenDecoder,
  file: string,
): VocabularyData {
  const size = tokenizer.model?.vocab.length ?? 0;
  if (size > limits.tokens) {
    throw new ConfigurationError(
      `${file} has token ids up to ${size - 1}; the maximum is ${limits.tokens} tokens.`,
    );
  }
  const added = tokenizer.get_added_tokens_decoder();
  const ends = new Uint32Array(size);
  const special = new Uint8Array(size);
  let bytes = new Uint8Array(16 * size);
  let total = 0;
  let ownTokens = 0;
  for (let id = 0; id < size; id++) {
    const token = tokenizer.id_to_token(id);
    const isAdded = added.has(id);
    const own = token === undefined ? null : decoder.bytes(token, isAdded);
    if (own !== null && !isAdded) ownTokens = id + 1;
    const start = total;
    total += own?.length ?? 0;
    if (total > limits.tokenBytes) {
      throw new ConfigurationError(
        `${file}: the tokens up to ${id} stand for more than ${limits.tokenBytes} bytes of text.`,
      );
    }
    if (total > bytes.length) {
      const larger = new Uint8Array(2 * total);
      larger.set(bytes);
      bytes = larger;
    }
    if (own !== null) bytes.set(own, start);
    ends[id] = total;
    special[id] = added.get(id)?.special ? 1 : 0;
  }
  return { bytes: bytes.slice(0, total), ends, special, ownTokens, leadingSpaces: decoder.leadingSpaces };
}
