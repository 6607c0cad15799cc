import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpointFile } from '../checkpoint-file.ts';
import { readTokenizerFile } from './tokenizer-file.ts';

/** A checkpoint's information about its tokenizer, without the tokens. */
export interface TokenizerInfo {
  /** Name of the class in Hugging Face's libraries. */
  tokenizerClass: string | null;
  /** `bos_token`, `eos_token` and so on, each with the token's text. */
  specialTokens: Record<string, string>;
  /** The Jinja template for chats; null: the checkpoint has none. */
  chatTemplate: string | null;
  /** Location of the template, for error messages. */
  templatePlace: string;
}

/** Maximum bytes of a template: a hundred times the longest ones. */
const maxTemplateBytes = 2 ** 22;

/** @throws ConfigurationError naming the file that cannot be read */
export function readTokenizerInfo(checkpoint: string): TokenizerInfo {
  const configFile = join(checkpoint, 'tokenizer_config.json');
  const templateFile = join(checkpoint, 'chat_template.jinja');
  const config = readTokenizerFile(configFile);
  const { tokenizer_class: tokenizerClass } = config;
  const isApart = existsSync(templateFile);
  return {
    tokenizerClass: typeof tokenizerClass === 'string' ? tokenizerClass : null,
    specialTokens: specialTokensOf(config),
    chatTemplate: isApart
      ? readCheckpointFile(templateFile, maxTemplateBytes)
      : defaultTemplate(config.chat_template),
    templatePlace: isApart ? templateFile : `${configFile}: chat_template`,
  };
}

/** A text, or a list of named ones: the one named `default`, otherwise the first. */
function defaultTemplate(given: unknown): string | null {
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return null;
  const named = given as { name?: unknown; template?: unknown }[];
  const template = (named.find(({ name }) => name === 'default') ?? named[0])?.template;
  return typeof template === 'string' ? template : null;
}

/** `bos_token` and the like, written as a text or as an object with its `content`. */
function specialTokensOf(config: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(config).flatMap(([name, value]) => {
    if (!name.endsWith('_token')) return [];
    const text = typeof value === 'string' ? value : (value as { content?: unknown } | null)?.content;
    return typeof text === 'string' ? [[name, text] as const] : [];
  });
  return Object.fromEntries(entries);
}
