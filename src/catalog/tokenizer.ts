import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { ConfigurationError } from '../errors.ts';
import { readTokenDecoder, type TokenDecoder } from './token-decoder.ts';

/** Text to tokens and back, after a checkpoint's tokenizer.json. */
export class Tokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** Spaces the decoder drops at the very start of a text (SentencePiece writes one before the first word). */
  readonly leadingSpaces: number;
  readonly #tokenizer: HuggingFaceTokenizer;
  readonly #decoder: TokenDecoder;
  readonly #added = new Set<number>();
  readonly #special = new Set<number>();
  /** Filled as tokens are asked for: large vocabularies are mostly never generated. */
  readonly #bytes: (Uint8Array<ArrayBuffer> | undefined)[] = [];

  /** @param file path of `tokenizerJson`, for messages */
  constructor(tokenizerJson: Record<string, unknown>, tokenizerConfig: object, file = 'tokenizer.json') {
    this.#decoder = readTokenDecoder(tokenizerJson.decoder, file);
    this.#tokenizer = new HuggingFaceTokenizer(tokenizerJson, tokenizerConfig);
    this.leadingSpaces = this.#decoder.leadingSpaces;
    this.vocabSize = this.#tokenizer.model?.vocab.length ?? 0;
    for (const [id, token] of this.#tokenizer.get_added_tokens_decoder()) {
      this.#added.add(id);
      if (token.special) this.#special.add(id);
    }
  }

  /** @throws ConfigurationError when a file is missing, damaged or of a kind that is not supported */
  static load(checkpointFolder: string): Tokenizer {
    const file = join(checkpointFolder, 'tokenizer.json');
    const tokenizerJson = readJson(file);
    const tokenizerConfig = readJson(join(checkpointFolder, 'tokenizer_config.json'));
    try {
      return new Tokenizer(tokenizerJson, tokenizerConfig, file);
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      throw new ConfigurationError(
        `${file} is not a tokenizer this service can use: ${(error as Error).message}`,
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

  decode(tokens: readonly number[], skipSpecialTokens = false): string {
    const kept = skipSpecialTokens ? tokens.filter((id) => !this.isSpecial(id)) : tokens;
    const text = Buffer.concat(kept.map((id) => this.tokenBytes(id))).toString('utf8');
    const spaces = /^ */.exec(text)![0].length;
    return text.slice(Math.min(spaces, this.leadingSpaces));
  }

  /** The exact bytes a token stands for in running text; special tokens give their written form, unknown ids nothing. */
  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    let bytes = this.#bytes[id];
    if (bytes === undefined) {
      const token = this.#tokenizer.id_to_token(id);
      bytes = token === undefined ? new Uint8Array() : this.#decoder.bytes(token, this.#added.has(id));
      this.#bytes[id] = bytes;
    }
    return bytes;
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }
}

function readJson(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigurationError(
      `${file} cannot be read: a checkpoint needs tokenizer.json and tokenizer_config.json beside its config.json.`,
      { cause: error },
    );
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigurationError(`${file} is not valid JSON: copy it again from the checkpoint.`, {
      cause: error,
    });
  }
}
