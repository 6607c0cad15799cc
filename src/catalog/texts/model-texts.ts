import { type GenerationDefaults, readGenerationDefaults } from '../generation-defaults.ts';
import type { ChatMessage, ChatRendering } from '../tokenizer/chat-template.ts';
import type { TokenizerInfo } from '../tokenizer/tokenizer-info.ts';
import { Vocabulary } from '../tokenizer/vocabulary.ts';
import type { EncodedText, TextJobs, TextSource } from './text-jobs.ts';
import type { TextOwner, TextWorkers } from './text-workers.ts';

type Encoding = TextJobs['encode']['job'];
type Tokenizing = TextJobs['tokenize']['job'];

/** What a checkpoint's own tokenizer and chat template do, in processes of their own. They throw as `TextWorkers.run` does. */
export interface TextWork {
  encode(encoding: Encoding, owner: TextOwner): Promise<EncodedText[]>;
  tokenize(tokenizing: Tokenizing, owner: TextOwner): Promise<TextJobs['tokenize']['answer']>;
  /** null: the checkpoint has no chat template, so its models take no chats. */
  render:
    | ((messages: readonly ChatMessage[], rendering: ChatRendering, owner: TextOwner) => Promise<string>)
    | null;
  readonly info: TokenizerInfo;
}

/** What a checkpoint's models share, whatever their precision. */
export interface Texts {
  vocabulary: Vocabulary;
  texts: TextWork;
  defaults: GenerationDefaults;
}

/** @throws ConfigurationError naming the file at fault */
export async function readTexts(checkpoint: string, workers: TextWorkers): Promise<Texts> {
  const { vocabulary, info, source } = await workers.load(checkpoint);
  return {
    vocabulary: new Vocabulary(vocabulary),
    texts: textWork(source, info, workers),
    defaults: await readGenerationDefaults(checkpoint),
  };
}

const lengthOf = (content: ChatMessage['content']): number =>
  typeof content === 'string' ? content.length : content.reduce((sum, { text }) => sum + text.length + 32, 0);

/** Templates write this many characters, and for each message or character given so many more, at most. */
const written = { always: 65_536, each: 8 };

function textWork(source: TextSource, info: TokenizerInfo, workers: TextWorkers): TextWork {
  const render: TextWork['render'] = (messages, rendering, owner) => {
    // A message's own frame counts too: there may be thousands of empty ones.
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
