import type { ChatMessage, ChatRendering } from '../tokenizer/chat-template.ts';
import type { TokenizerInfo } from '../tokenizer/tokenizer-info.ts';
import type { VocabularyData } from '../tokenizer/vocabulary.ts';

/** What a process for texts (text-worker.ts) does with a checkpoint's tokenizer and chat template. */
export interface TextJobs {
  /** Reads both. */
  load: { job: object; answer: { vocabulary: VocabularyData; info: TokenizerInfo } };
  encode: {
    /** `last`: most tokens to give of each text, the last ones. */
    job: { texts: readonly string[]; addSpecialTokens: boolean; last: number };
    answer: EncodedText[];
  };
  /** The same for one text, as the fields `tokens` and `token_strs` of a JSON object. */
  tokenize: {
    job: { text: string; addSpecialTokens: boolean; givesStrings: boolean };
    answer: { count: number; fields: Uint8Array };
  };
  render: {
    job: { messages: readonly ChatMessage[]; rendering: ChatRendering; maxCharacters: number };
    answer: string;
  };
}

export type TextJobType = keyof TextJobs;

export interface EncodedText {
  /** All of the text's tokens. */
  count: number;
  tokens: Int32Array;
}

/** A checkpoint's tokenizer and chat template as they were read at one time. */
export interface TextSource {
  /** Folder. */
  checkpoint: string;
  /** Another number: the files may be others by now, so they are read again. */
  reading: number;
}

/** A job as it is sent to the process. */
export interface SentTextJob<T extends TextJobType = TextJobType> {
  type: T;
  source: TextSource;
  job: TextJobs[T]['job'];
  /** Milliseconds that reading the checkpoint's files may take, where that is to be done first, and then the job. */
  loadMs: number;
  jobMs: number;
}

/**
 * Why a job came to nothing. `configuration`: a file cannot be used; `template`, `final`: the template refuses the
 * messages; `time`, `memory`, `size`: it takes or makes too much; `closed`: the service stops; `other`: anything else that was thrown.
 */
export type TextFailure = {
  reason: 'configuration' | 'template' | 'final' | 'time' | 'memory' | 'size' | 'closed' | 'other';
  message: string;
};

export type TextResult<T extends TextJobType = TextJobType> =
  | { answer: TextJobs[T]['answer'] }
  | { failure: TextFailure };
