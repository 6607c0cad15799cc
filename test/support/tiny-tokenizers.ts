/** Hand-made tokenizer.json objects of the two kinds in use. Order of ids: specials, bytes, pieces. */

const special = (id: number, content: string) => ({
  id,
  content,
  special: true,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
});

const vocabOf = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

/** GPT-2's byte alphabet in byte order, written out independently of the code under test. */
function byteAlphabet(): string[] {
  const ranges = [
    [0x21, 0x7e],
    [0xa1, 0xac],
    [0xae, 0xff],
  ] as const;
  let shifted = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(ranges.some(([low, high]) => byte >= low && byte <= high) ? byte : 256 + shifted++),
  );
}

/** Byte-level BPE as the shipped models have: `<pad>` 0, `</s>` 1, `<unk>` 2, byte b is 3 + b, then merges. */
export function byteLevelTokenizer(): Record<string, unknown> {
  const bytes = byteAlphabet();
  // "he", "the", " t", " the", and the first two bytes of "€" (E2 82 AC), which are not a character by themselves.
  const merges = [
    ['h', 'e'],
    ['Ġ', 't'],
    ['Ġt', 'he'],
    [bytes[0xe2]!, bytes[0x82]!],
  ];
  const tokens = ['<pad>', '</s>', '<unk>', ...bytes, ...merges.map((pair) => pair.join(''))];
  return {
    version: '1.0',
    added_tokens: [special(0, '<pad>'), special(1, '</s>'), special(2, '<unk>')],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', unk_token: null, vocab: vocabOf(tokens), merges },
  };
}

const byteTokens = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);

/** SentencePiece-style BPE with byte fallback, like Gemma's. */
export function sentencePieceTokenizer(decoder: object = gemmaDecoder): Record<string, unknown> {
  const tokens = ['<pad>', '<eos>', ...byteTokens, '▁', 'h', 'e', 'he', '▁he', 'é', '日本', 'a▁b', '▁▁'];
  return {
    version: '1.0',
    added_tokens: [special(0, '<pad>'), special(1, '<eos>')],
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: null,
    post_processor: null,
    decoder,
    model: {
      type: 'BPE',
      unk_token: null,
      byte_fallback: true,
      vocab: vocabOf(tokens),
      merges: [
        ['h', 'e'],
        ['▁', 'he'],
      ],
    },
  };
}

export const gemmaDecoder = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ],
};

export const llamaDecoder = {
  type: 'Sequence',
  decoders: [...gemmaDecoder.decoders, { type: 'Strip', content: ' ', start: 1, stop: 0 }],
};

export const metaspaceDecoder = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };
