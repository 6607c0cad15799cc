import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { ConfigurationError } from '../../src/errors.ts';
import { seededRandom } from '../support/seeded-random.ts';
import {
  byteLevelTokenizer,
  gemmaDecoder,
  llamaDecoder,
  metaspaceDecoder,
  sentencePieceTokenizer,
} from '../support/tiny-tokenizers.ts';

const config = { clean_up_tokenization_spaces: false };
const kinds: [name: string, json: Record<string, unknown>][] = [
  ['byte-level', byteLevelTokenizer()],
  ['Gemma style', sentencePieceTokenizer(gemmaDecoder)],
  ['Llama style', sentencePieceTokenizer(llamaDecoder)],
  ['Metaspace', sentencePieceTokenizer(metaspaceDecoder)],
];
const shipped = globSync(join(import.meta.dirname, '../../models/*/tokenizer.json')).slice(0, 1);
for (const file of shipped) kinds.push(['a shipped model', JSON.parse(readFileSync(file, 'utf8'))]);

const bytesOf = (tokenizer: Tokenizer, tokens: readonly number[]) =>
  Buffer.concat(tokens.map((id) => tokenizer.tokenBytes(id)));

describe.each(kinds)('Tokenizer, %s', (kind, json) => {
  const tokenizer = new Tokenizer(json, config);
  const reference = new HuggingFaceTokenizer(json, config);

  it('decodes random tokens as the reference implementation does', () => {
    const random = seededRandom(7);
    for (let round = 0; round < 500; round++) {
      const tokens = Array.from({ length: 1 + random.below(12) }, () => random.below(tokenizer.vocabSize));
      const plain = tokens.filter((id) => !tokenizer.isSpecial(id));
      const expected = reference.decode(tokens, {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: false,
      });
      expect(tokenizer.decode(tokens, true)).toBe(expected);
      if (tokenizer.leadingSpaces === 0) expect(bytesOf(tokenizer, plain).toString('utf8')).toBe(expected);
    }
  });

  it('gives text back that it encoded', () => {
    // Without ByteFallback a byte token decodes to its literal form.
    const others = kind === 'Metaspace' ? [] : ['a  b', 'né 日本 €', '😀 \n\t'];
    for (const text of ['he', 'he he', ...others]) {
      const tokens = tokenizer.encode(text, false);
      expect(bytesOf(tokenizer, tokens).toString('utf8')).toBe(text);
    }
  });
});

describe('Tokenizer', () => {
  const byteLevel = new Tokenizer(byteLevelTokenizer(), config);

  it('adds special tokens unless told not to, and tells them apart', () => {
    const plain = byteLevel.encode(' the', false);
    expect(byteLevel.encode(' the')).toEqual([...plain, 1]);
    expect(plain.some((id) => byteLevel.isSpecial(id))).toBe(false);
    expect([0, 1, 2, 3].map((id) => byteLevel.isSpecial(id))).toEqual([true, true, true, false]);
    expect(byteLevel.decode([...plain, 1])).toBe(' the</s>');
    expect(byteLevel.decode([])).toBe('');
  });

  it('gives single bytes and pieces of characters exactly', () => {
    for (let byte = 0; byte < 256; byte++) expect([...byteLevel.tokenBytes(3 + byte)]).toEqual([byte]);
    expect([...byteLevel.tokenBytes(byteLevel.vocabSize - 1)]).toEqual([0xe2, 0x82]);
    expect(byteLevel.tokenBytes(1_000_000)).toHaveLength(0);
    const gemma = new Tokenizer(sentencePieceTokenizer(), config);
    expect([...gemma.tokenBytes(2 + 0xe2)]).toEqual([0xe2]);
  });

  it('says how many spaces a text loses at its start', () => {
    const spaces = (decoder: object) => new Tokenizer(sentencePieceTokenizer(decoder), config).leadingSpaces;
    expect(spaces(gemmaDecoder)).toBe(0);
    expect(spaces(llamaDecoder)).toBe(1);
    expect(spaces(metaspaceDecoder)).toBe(1);
    expect(spaces({ type: 'Metaspace', replacement: '▁', prepend_scheme: 'never' })).toBe(0);
  });

  it.each([
    [{ type: 'WordPiece', prefix: '##' }, /WordPiece/],
    [
      { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Strip', content: ' ', start: 0, stop: 1 }] },
      /Strip/,
    ],
    [{ type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'ByteFallback' }] }, /ByteFallback/],
    [null, /no decoder/],
  ])('refuses decoder %j by name', (decoder, message) => {
    const json = { ...sentencePieceTokenizer(), decoder };
    expect(() => new Tokenizer(json, config)).toThrow(ConfigurationError);
    expect(() => new Tokenizer(json, config)).toThrow(message);
  });
});

describe('Tokenizer.load', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteLevelTokenizer()));
    writeFileSync(join(folder, 'tokenizer_config.json'), '{}');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('reads a checkpoint folder', () => {
    expect(Tokenizer.load(folder).decode(Tokenizer.load(folder).encode('the € sign', false))).toBe(
      'the € sign',
    );
  });

  it.each(['tokenizer.json', 'tokenizer_config.json'])('names a missing %s', (name) => {
    rmSync(join(folder, name));
    expect(() => Tokenizer.load(folder)).toThrow(ConfigurationError);
    expect(() => Tokenizer.load(folder)).toThrow(join(folder, name));
  });

  it.each(['{ "model": ', '[]', '{"decoder":{"type":"ByteLevel"}}'])('names a damaged file: %s', (text) => {
    writeFileSync(join(folder, 'tokenizer.json'), text);
    expect(() => Tokenizer.load(folder)).toThrow(ConfigurationError);
    expect(() => Tokenizer.load(folder)).toThrow(join(folder, 'tokenizer.json'));
  });
});
