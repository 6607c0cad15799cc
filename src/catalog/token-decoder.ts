import { ConfigurationError } from '../errors.ts';

/** What a token's written form stands for, after the `decoder` of tokenizer.json. */
export interface TokenDecoder {
  /** @param isAdded the token is one of `added_tokens`, which byte-level decoders take as written */
  bytes(token: string, isAdded: boolean): Uint8Array<ArrayBuffer>;
  /** Spaces to drop at the very start of a text, where there are any. */
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
 * Reads the `decoder` object of a tokenizer.json. Only decoders that work token by token are taken, as text is
 * streamed: ByteLevel, Metaspace, and the sequences of Replace, ByteFallback, Fuse and Strip SentencePiece models use.
 * @throws ConfigurationError naming the decoder type that is not supported
 */
export function readTokenDecoder(decoder: unknown, file: string): TokenDecoder {
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
        `${file}: decoder ${JSON.stringify(step)} is not supported; ` +
          'ByteLevel, Metaspace and sequences of Replace, ByteFallback, Fuse and Strip (of leading spaces) are.',
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

/** The byte a token like `<0xE2>` stands for, null for any other. */
function byteOfFallback(token: string): number | null {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return digits === undefined ? null : Number.parseInt(digits, 16);
}

function byteLevelBytes(token: string, isAdded: boolean): Uint8Array<ArrayBuffer> {
  if (isAdded) return utf8.encode(token);
  const bytes = Array.from(token, (character) => byteOfCharacter.get(character));
  // A token written outside the alphabet stands for its own text, as in the reference tokenizers.
  return bytes.includes(undefined) ? utf8.encode(token) : Uint8Array.from(bytes as number[]);
}

/**
 * GPT-2's byte alphabet, reversed: bytes that print stand for themselves in Latin-1, the others follow from U+0100 on,
 * in ascending order.
 */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const prints = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) map.set(String.fromCharCode(prints(byte) ? byte : next++), byte);
  return map;
})();
