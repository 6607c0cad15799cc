import { type GenerationDefaults, readGenerationDefaults } from '../generation-defaults.ts';
import type { ChatMessage, ChatRendering } from '../tokenizer/chat-template.ts';
import type { TokenizerInfo } from '../tokenizer/tokenizer-info.ts';
import { Vocabulary } from '../tokenizer/vocabulary.ts';
import type { EncodedText, TextJobs, TextSource } from './text-jobs.ts';
import type { TextOwner, TextWorkers } from './text-workers.ts';

type Encoding = TextJobs['encode']['job'];
type Tokenizing = TextJobs['tokenize']['job'];

/** Runs a checkpoint's tokenizer and chat template in separate processes. Throws the errors of `TextWorkers.run`. */
export interface TextWork {
  encode(encoding: Encoding, owner: TextOwner): Promise<EncodedText[]>;
  tokenize(tokenizing: Tokenizing, owner: TextOwner): Promise<TextJobs['tokenize']['answer']>;
  /** null: the checkpoint has no chat template, so its models take no chats. */
  render:
    | ((messages: readonly ChatMessage[], rendering: ChatRendering, owner: TextOwner) => Promise<string>)
    | null;
  readonly info: TokenizerInfo;
}

/** Shared by all models of a checkpoint, whatever their precision. */
export interface ModelTexts {
  vocabulary: Vocabulary;
  texts: TextWork;
  defaults: GenerationDefaults;
}

/** @throws ConfigurationError naming the file at fault */
export async function readTexts(checkpoint: string, workers: TextWorkers): Promise<ModelTexts> {
  const { vocabulary, info, source } = await workers.load(checkpoint);
  return {
    vocabulary: new Vocabulary(vocabulary),
    texts: textWork(source, info, workers),
    defaults: await readGenerationDefaults(checkpoint),
  };
}

const lengthOf = (content: ChatMessage['content']): number =>
  typeof content === 'string' ? content.length : content.reduce((sum, { text }) => sum + text.length + 32, 0);

/** Maximum characters that a template may write: `always`, plus `each` for every message or character given. */
const written = { always: 65_536, each: 8 };

function textWork(source: TextSource, info: TokenizerInfo, workers: TextWorkers): TextWork {
  const render: TextWork['render'] = (messages, rendering, owner) => {
    // The frame around each message counts too: there may be thousands of empty messages.
    const characters = messages.reduce((sum, { content }) => sum + lengthOf(content) + 32, 0);
    const maxCharacters = written.always + written.each * characters;
    return workers.run('render', source, { messages, rendering, maxCharacters }, characters, owner);
  };
  return {
    encode: (encoding, owner) => {
      const characters = encoding.texts.reduce((sum, { length }) => sum + length, 0);
      return workers.run('encode', source, encoding, characters, owner);
    },
    tokenize: (tokenizing, owner) =>
      workers.run('tokenize', source, tokenizing, tokenizing.text.length, owner),
    render: info.chatTemplate === null ? null : render,
    info,
  };
}
