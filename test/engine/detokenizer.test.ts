import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { Detokenizer } from '../../src/engine/worker/output-text.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { byteLevelTokenizer, llamaDecoder, sentencePieceTokenizer } from '../support/tiny-tokenizers.ts';

const byteLevel = new Tokenizer(byteLevelTokenizer(), {});
const llama = new Tokenizer(sentencePieceTokenizer(llamaDecoder), {});
const byteToken = (byte: number) => 3 + byte;

describe('Detokenizer', () => {
  it.each([
    ['byte-level', byteLevel],
    ['SentencePiece', llama],
  ])('%s: the pieces of random tokens add up to the whole text', (_, tokenizer) => {
    const random = seededRandom(5);
    for (let round = 0; round < 400; round++) {
      const tokens = Array.from({ length: 1 + random.below(15) }, () => random.below(tokenizer.vocabSize));
      for (const skipSpecialTokens of [true, false]) {
        const detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens, startsText: true });
        const text = tokens.map((token) => detokenizer.add(token)).join('') + detokenizer.flush();
        expect(text).toBe(tokenizer.decode(tokens, skipSpecialTokens));
      }
    }
  });

  it('never cuts a character', () => {
    const text = 'a€é😀z';
    const detokenizer = new Detokenizer(byteLevel, { skipSpecialTokens: true, startsText: false });
    const pieces = [...Buffer.from(text)].map((byte) => detokenizer.add(byteToken(byte)));
    expect(pieces).toEqual(['a', '', '', '€', '', 'é', '', '', '', '😀', 'z']);
    expect(detokenizer.flush()).toBe('');
  });

  it('shows an unfinished character at the end', () => {
    const detokenizer = new Detokenizer(byteLevel, { skipSpecialTokens: true, startsText: false });
    expect([detokenizer.add(byteToken(0xe2)), detokenizer.add(byteToken(0x82)), detokenizer.flush()]).toEqual(
      ['', '', '\ufffd'],
    );
  });

  it('keeps a byte-order mark', () => {
    const detokenizer = new Detokenizer(byteLevel, { skipSpecialTokens: true, startsText: false });
    expect([0xef, 0xbb, 0xbf].map((byte) => detokenizer.add(byteToken(byte))).join('')).toBe('\ufeff');
  });

  it('drops the leading space of a text, not of a continuation', () => {
    const tokens = llama.encode(' he he', false);
    const text = (startsText: boolean) => {
      const detokenizer = new Detokenizer(llama, { skipSpecialTokens: true, startsText });
      return tokens.map((token) => detokenizer.add(token)).join('');
    };
    expect(text(true)).toBe('he he');
    expect(text(false)).toBe(' he he');
  });

  it('writes texts for special tokens that no other token can write', () => {
    for (const skipSpecialTokens of [true, false]) {
      const specialTexts = new Map([[1, '\ufdd0']]);
      const detokenizer = new Detokenizer(byteLevel, { skipSpecialTokens, specialTexts, startsText: false });
      const bytes = (text: string) => [...Buffer.from(text)].map(byteToken);
      const tokens = [...bytes('a\ufdd0</s>'), 1, byteToken(0xe2), 1, ...bytes('b')];
      const text = tokens.map((token) => detokenizer.add(token)).join('');
      expect(text).toBe('a\ufffd</s>\ufdd0\ufffd\ufdd0b');
    }
  });

  it('skips special tokens only when asked to', () => {
    const text = (skipSpecialTokens: boolean) => {
      const detokenizer = new Detokenizer(byteLevel, { skipSpecialTokens, startsText: false });
      return [byteToken(0x61), 1, byteToken(0x62)].map((token) => detokenizer.add(token)).join('');
    };
    expect(text(true)).toBe('ab');
    expect(text(false)).toBe('a</s>b');
  });
});
