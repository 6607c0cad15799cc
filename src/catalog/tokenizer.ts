import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { ConfigurationError } from '../errors.ts';
import { inOneLine } from './checkpoint-file.ts';
import { readTokenDecoder, type TokenDecoder } from './token-decoder.ts';
import { ownTokens, readTokenizerFile } from './tokenizer-file.ts';
import { Vocabulary, type VocabularyData } from './vocabulary.ts';

/** Upper bounds on what a checkpoint may bring: several times what the largest vocabularies have. */
const limits = { tokens: 2 ** 22, tokenBytes: 2 ** 27 };

/**
 * Text to tokens and back, after a checkpoint's tokenizer.json. It runs the regular expressions and rules that file
 * holds, so in the service it lives in a process of its own (text-worker.ts); a `Vocabulary` is all the others need.
 */
export class Tokenizer extends Vocabulary {
  readonly #tokenizer: HuggingFaceTokenizer;

  /** @param file path of `tokenizerJson`, for messages */
  constructor(tokenizerJson: Record<string, unknown>, tokenizerConfig: object, file = 'tokenizer.json') {
    const decoder = readTokenDecoder(tokenizerJson.decoder, file);
    const tokenizer = new HuggingFaceTokenizer(tokenizerJson, tokenizerConfig);
    super({ ...readVocabulary(tokenizer, decoder, file), ownTokens: ownTokens(tokenizerJson) });
    this.#tokenizer = tokenizer;
  }

  /** @throws ConfigurationError when a file is missing, damaged or of a kind that is not supported */
  static load(checkpointFolder: string): Tokenizer {
    const file = join(checkpointFolder, 'tokenizer.json');
    const tokenizerJson = readTokenizerFile(file);
    const tokenizerConfig = readTokenizerFile(join(checkpointFolder, 'tokenizer_config.json'));
    try {
      return new Tokenizer(tokenizerJson, tokenizerConfig, file);
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

  /** @param addSpecialTokens run the post-processor (for T5: append `</s>`); default true */
  encode(text: string, addSpecialTokens = true): number[] {
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens });
    // Text without a token, in a vocabulary without an unknown token, is dropped as in the reference tokenizers.
    return (ids as (number | undefined)[]).filter((id) => id !== undefined);
  }
}

/** @throws ConfigurationError for a vocabulary that is larger than any model's */
function readVocabulary(
  tokenizer: HuggingFaceTokenizer,
  decoder: TokenDecoder,
  file: string,
): Omit<VocabularyData, 'ownTokens'> {
  const size = tokenizer.model?.vocab.length ?? 0;
  if (size > limits.tokens) {
    throw new ConfigurationError(
      `${file} has token ids up to ${size - 1}; at most ${limits.tokens} are taken.`,
    );
  }
  const added = tokenizer.get_added_tokens_decoder();
  const ends = new Uint32Array(size);
  const special = new Uint8Array(size);
  const tokens: Uint8Array[] = [];
  let total = 0;
  for (let id = 0; id < size; id++) {
    const token = tokenizer.id_to_token(id);
    const bytes = token === undefined ? new Uint8Array() : decoder.bytes(token, added.has(id));
    total += bytes.length;
    if (total > limits.tokenBytes) {
      throw new ConfigurationError(
        `${file}: up to token ${id}, the tokens stand for more than ${limits.tokenBytes} bytes of text.`,
      );
    }
    tokens.push(bytes);
    ends[id] = total;
    special[id] = added.get(id)?.special ? 1 : 0;
  }
  return { bytes: Buffer.concat(tokens), ends, special, leadingSpaces: decoder.leadingSpaces };
}
