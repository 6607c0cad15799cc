import type { ChatMessage, ChatRendering } from '../tokenizer/chat-template.ts';
import type { TokenizerInfo } from '../tokenizer/tokenizer-info.ts';
import type { ToolTemplate } from '../tokenizer/tool-template.ts';
import type { VocabularyData } from '../tokenizer/vocabulary.ts';

/** Jobs of a text process (text-worker.ts) on a checkpoint's tokenizer and chat template. */
export interface TextJobs {
  /** Reads both. */
  load: { job: object; answer: { vocabulary: VocabularyData; info: TokenizerInfo } };
  encode: {
    /** `last`: maximum tokens to return for each text, from its end. */
    job: { texts: readonly string[]; addSpecialTokens: boolean; last: number };
    answer: EncodedText[];
  };
  /** Encodes one text into the fields `tokens` and `token_strs` of a JSON object. */
  tokenize: {
    job: { text: string; addSpecialTokens: boolean; givesStrings: boolean };
    answer: { count: number; fields: Uint8Array };
  };
  render: {
    job: { messages: readonly ChatMessage[]; rendering: ChatRendering; maxCharacters: number };
    answer: string;
  };
  /** Finds out what the chat template does with tools. */
  tools: { job: object; answer: ToolTemplate };
}

export type TextJobType = keyof TextJobs;

export interface EncodedText {
  /** Number of all tokens in the text. */
  count: number;
  tokens: Int32Array;
}

/** A checkpoint's tokenizer and chat template, as read at one time. */
export interface TextSource {
  /** Folder. */
  checkpoint: string;
  /** A new number means that the files may have changed and must be read again. */
  reading: number;
}

/** A job as sent to the process. */
export interface SentTextJob<T extends TextJobType = TextJobType> {
  type: T;
  source: TextSource;
  job: TextJobs[T]['job'];
  /** Maximum milliseconds for reading the checkpoint's files, if that is still to be done, and then for the job. */
  loadMs: number;
  jobMs: number;
}

/**
 * Why a job failed. `configuration`: a file cannot be used; `template`, `final`: the template refuses the messages;
 * `time`, `memory`, `size`: it takes or makes too much; `closed`: the service is stopping; `other`: any other error.
 */
export type TextFailure = {
  reason: 'configuration' | 'template' | 'final' | 'time' | 'memory' | 'size' | 'closed' | 'other';
  message: string;
};

export type TextResult<T extends TextJobType = TextJobType> =
  | { answer: TextJobs[T]['answer'] }
  | { failure: TextFailure };
