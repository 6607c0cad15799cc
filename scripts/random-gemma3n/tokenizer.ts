const specialTokens = ['<pad>', '<eos>', '<bos>', '<unk>'];
const characters = [...'▁abcdefghijklmnopqrstuvwxyz'];
const rest = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?\'"()-\n'];

/**
 * A tokenizer.json like Gemma's (byte pairs, byte fallback, no word borders) with exactly `size` tokens: bytes,
 * characters, and words of two to four letters, each merged from a word one letter shorter.
 */
export function makeTokenizer(size: number): object {
  const bytes = Array.from({ length: 256 }, (_, n) => `<0x${n.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = [...specialTokens, ...bytes, ...characters, ...rest];
  const merges: [string, string][] = [];
  let shorter = characters;
  while (tokens.length < size) {
    const longer: string[] = [];
    for (const start of shorter) {
      for (const letter of characters) {
        if (tokens.length === size) break;
        merges.push([start, letter]);
        longer.push(start + letter);
        tokens.push(start + letter);
      }
    }
    shorter = longer;
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.slice(0, size).map((token, id) => [token, id])),
      merges,
    },
  };
}

export const tokenizerConfig = {
  tokenizer_class: 'GemmaTokenizer',
  add_bos_token: true,
  add_eos_token: false,
  bos_token: '<bos>',
  eos_token: '<eos>',
  pad_token: '<pad>',
  unk_token: '<unk>',
  clean_up_tokenization_spaces: false,
};
