import type { TextWork } from '../../src/catalog/texts/text-workers.ts';
import type { ChatTemplate } from '../../src/catalog/tokenizer/chat-template.ts';
import type { Tokenizer } from '../../src/catalog/tokenizer/tokenizer.ts';
import { toolTemplate } from '../../src/catalog/tokenizer/tool-template.ts';
import { tokenText, Vocabulary } from '../../src/catalog/tokenizer/vocabulary.ts';

export const eos = 1;
const firstByte = 3;

const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));

/** Token tables of a model whose tokens no test reads. */
export const noTokens = {
  bytes: new Uint8Array(),
  ends: new Uint32Array(),
  special: new Uint8Array(),
  ownTokens: 0,
  leadingSpaces: 0,
};

/** A model for an engine to load, whose tokens no test reads. */
export const modelToLoad = (name: string, folder = '') => ({
  spec: { name, folder },
  vocabulary: Promise.resolve(noTokens),
});

/** A token for each byte: 3 for byte 0, up to 258. Tokens 0, 1 and 2 are special; `</s>` (1) ends each prompt. */
class ByteTokenizer extends Vocabulary {
  constructor(specials: readonly string[]) {
    const tokens = [...specials.map((token) => Buffer.from(token)), ...bytes];
    const ends = new Uint32Array(tokens.length);
    let end = 0;
    for (const [id, { length }] of tokens.entries()) {
      end += length;
      ends[id] = end;
    }
    const special = Uint8Array.from(tokens, (_, id) => (id < firstByte ? 1 : 0));
    super({ bytes: Buffer.concat(tokens), ends, special, ownTokens: tokens.length, leadingSpaces: 1 });
  }

  encode(text: string, addSpecialTokens = true): number[] {
    const ids = Array.from(Buffer.from(text), (byte) => byte + firstByte);
    return addSpecialTokens ? [...ids, eos] : ids;
  }
}

export const tokenOf = (character: string): number => character.charCodeAt(0) + firstByte;

/** A substitute for a tokenizer read from a checkpoint. */
export const fakeTokenizer = (specials = ['<pad>', '</s>', '<unk>']): ByteTokenizer =>
  new ByteTokenizer(specials);

/** The text functions of a fake tokenizer, synchronous and in this process. */
export function fakeTexts(
  chatTemplate: ChatTemplate | null,
  tokenizer: Pick<Tokenizer, 'encode' | 'tokenBytes'> = fakeTokenizer(),
): TextWork {
  return {
    encode: async ({ texts, addSpecialTokens, last }) =>
      texts.map((text) => {
        const ids = tokenizer.encode(text, addSpecialTokens);
        return { count: ids.length, tokens: Int32Array.from(ids.slice(-last)) };
      }),
    tokenize: async ({ text, addSpecialTokens, givesStrings }) => {
      const ids = tokenizer.encode(text, addSpecialTokens);
      const strings = givesStrings ? ids.map((id) => tokenText(tokenizer.tokenBytes(id))) : null;
      const fields = `"tokens":${JSON.stringify(ids)},"token_strs":${JSON.stringify(strings)}`;
      return { count: ids.length, fields: Buffer.from(fields) };
    },
    info: {
      tokenizerClass: 'Bytes',
      specialTokens: { eos_token: '</s>' },
      chatTemplate: null,
      templatePlace: '',
    },
    prepare: async () => {},
    forget: () => {},
    toolTemplate: async () => toolTemplate(chatTemplate!),
    render: chatTemplate && (async (messages, rendering) => chatTemplate.render(messages, rendering)),
  };
}
