import { ConfigurationError, ServiceError } from '../../errors.ts';
import { type GenerationDefaults, readGenerationDefaults } from '../generation-defaults.ts';
import {
  type ChatMessage,
  type ChatRendering,
  ChatTemplateError,
  FinalMessageError,
} from '../tokenizer/chat-template.ts';
import type { TokenizerInfo } from '../tokenizer/tokenizer-info.ts';
import type { ToolTemplate } from '../tokenizer/tool-template.ts';
import { Vocabulary } from '../tokenizer/vocabulary.ts';
import type { EncodedText, TextFailure, TextJobs, TextJobType, TextSource } from './text-jobs.ts';
import { TextLane } from './text-lane.ts';

/** Maximum characters of a short text. Longer texts have their own process: they would block others for tens of ms. */
const longest = 8192;
/**
 * Maximum milliseconds of a job on a short or long text, and of reading a checkpoint's files: in a process that serves,
 * or for the first time.
 */
const within = { short: 2000, long: 30_000, reading: 20_000, firstReading: 60_000 };
/** Milliseconds for which a client's texts for a checkpoint are kept apart after one ran out of time or memory. */
const apartMs = 60_000;
/** Milliseconds for which processes that are not always needed are kept without work. */
const idleMs = 60_000;

/** Who sent a text. */
export interface TextOwner {
  client: string;
  /** The model's name as served. */
  model: string;
  /** Aborts when nobody waits for the answer any more. */
  signal: AbortSignal;
  /** Maximum wait for a process, in milliseconds. */
  waitMs: number;
}

/** Receives what the metrics need. */
export interface TextObserver {
  /** @param change 1: a text of `model` starts to wait for a process, -1: it stops waiting */
  textWaiting(model: string, change: 1 | -1): void;
  /** @param seconds that a text of `model` waited and ran */
  textDone(model: string, seconds: number): void;
}

/** The turn of jobs that no client sent. */
const ownTurn = { client: '', characters: 0, signal: null, onStart: () => {} };

type WorkingType = Exclude<TextJobType, 'load'>;

/**
 * Runs code from checkpoints (tokenizers, chat templates) in separate processes, so that it can neither block nor end
 * the service: one for short texts, up to three more for short texts that take long, one for long texts, and one for
 * clients and checkpoints with texts that recently ran out of time or memory. Waiting work is bounded, shared fairly
 * among clients, and dropped when its client leaves.
 */
export class TextWorkers {
  readonly #observer: TextObserver;
  readonly #short = new TextLane({ idleMs: Number.POSITIVE_INFINITY, maxAside: 3 });
  readonly #long = new TextLane({ idleMs, maxAside: 0 });
  readonly #apart = new TextLane({ idleMs, maxAside: 0 });
  /** By client and checkpoint: until when their texts are kept apart. */
  readonly #late = new Map<string, number>();
  readonly #loading = new Set<TextLane>();
  #readings = 0;

  constructor(observer: TextObserver) {
    this.#observer = observer;
  }

  /**
   * Reads a checkpoint's tokenizer and chat template in a process of its own, which goes on to take short texts if no
   * other does.
   * @throws ConfigurationError naming the file at fault
   */
  async load(checkpoint: string): Promise<TextJobs['load']['answer'] & { source: TextSource }> {
    this.#readings += 1;
    const source = { checkpoint, reading: this.#readings };
    const lane = new TextLane({ idleMs: 0, maxAside: 0 });
    this.#loading.add(lane);
    try {
      const times = { loadMs: within.firstReading, jobMs: within.reading };
      const result = await lane.run({ type: 'load', source, job: {}, ...times }, ownTurn);
      if ('failure' in result) throw loadError(checkpoint, result.failure);
      if (!this.#short.adopt(lane)) await this.prepare(source);
      return { ...result.answer, source };
    } finally {
      this.#loading.delete(lane);
      lane.close();
    }
  }

  /**
   * @param characters length of the job's text
   * @throws ServiceError `queue_full`, `deadline_exceeded`, `shutting_down` or `text_failure`; ChatTemplateError and
   * FinalMessageError; the reason of `owner.signal`
   */
  async run<T extends WorkingType>(
    type: T,
    source: TextSource,
    job: TextJobs[T]['job'],
    characters: number,
    owner: TextOwner,
  ): Promise<TextJobs[T]['answer']> {
    const jobMs = characters > longest ? within.long : within.short;
    const sent = { type, source, job, loadMs: within.reading, jobMs };
    const key = JSON.stringify([owner.client, source.checkpoint]);
    const lane = this.#laneFor(key, characters);
    const startedAt = performance.now();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(tooLate(owner)), owner.waitMs);
    let isWaiting = true;
    const leave = () => {
      clearTimeout(timer);
      if (isWaiting) this.#observer.textWaiting(owner.model, -1);
      isWaiting = false;
    };
    this.#observer.textWaiting(owner.model, 1);
    const signal = AbortSignal.any([owner.signal, late.signal]);
    try {
      const turn = { client: owner.client, characters, signal, onStart: leave };
      const result = await lane.run(sent, turn);
      if ('answer' in result) return result.answer;
      if (result.failure.reason === 'time' || result.failure.reason === 'memory') this.#keepApart(key);
      throw jobError(type, result.failure, owner, jobMs);
    } finally {
      leave();
      this.#observer.textDone(owner.model, (performance.now() - startedAt) / 1000);
    }
  }

  /** Reads a checkpoint's tokenizer in the process for short texts, so that the first text does not wait for that. */
  async prepare(source: TextSource): Promise<void> {
    const job = { texts: [], addSpecialTokens: false, last: 0 };
    const times = { loadMs: within.reading, jobMs: within.short };
    await this.#short.run({ type: 'encode', source, job, ...times }, ownTurn);
  }

  /** Frees a checkpoint's tokenizer in every process; the next text for it reads it again. */
  forget(source: TextSource): void {
    for (const lane of [this.#short, this.#long, this.#apart]) lane.forget(source);
  }

  close(): void {
    for (const lane of [this.#short, this.#long, this.#apart, ...this.#loading]) lane.close();
  }

  #laneFor(key: string, characters: number): TextLane {
    const until = this.#late.get(key);
    if (until !== undefined && performance.now() < until) return this.#apart;
    this.#late.delete(key);
    return characters > longest ? this.#long : this.#short;
  }

  #keepApart(key: string): void {
    const now = performance.now();
    for (const [other, until] of this.#late) if (until < now) this.#late.delete(other);
    this.#late.set(key, now + apartMs);
  }
}

const tooLate = ({ model }: TextOwner) =>
  new ServiceError(
    'deadline_exceeded',
    `The text waited for the tokenizer of '${model}' longer than its deadline.`,
  );

const faults: Partial<Record<TextFailure['reason'], string>> = {
  memory: 'needed too much memory',
  size: 'produced too much output',
};

const working: Record<WorkingType, readonly [who: string, what: string]> = {
  encode: ['tokenizer', 'this text'],
  tokenize: ['tokenizer', 'this text'],
  render: ['chat template', 'this chat'],
  tools: ['chat template', 'an example with tools'],
};

function jobError(
  type: WorkingType,
  { reason, message }: TextFailure,
  { model }: TextOwner,
  jobMs: number,
): Error {
  if (reason === 'template') return new ChatTemplateError(message);
  if (reason === 'final') return new FinalMessageError();
  if (reason === 'closed') return new ServiceError('shutting_down', message, { retryAfterSeconds: 1 });
  const [who, what] = working[type];
  const fault = reason === 'time' ? `took longer than ${jobMs / 1000} s` : (faults[reason] ?? 'failed');
  return new ServiceError('text_failure', `The ${who} of the model '${model}' ${fault} for ${what}.`, {
    cause: new Error(message),
  });
}

function loadError(checkpoint: string, { reason, message }: TextFailure): Error {
  if (reason === 'configuration') return new ConfigurationError(message);
  const fault =
    reason === 'time' ? `take longer than ${within.firstReading / 1000} s` : (faults[reason] ?? message);
  return new ConfigurationError(`${checkpoint}: its tokenizer and chat template cannot be read: ${fault}`);
}

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
  /** What the chat template does with tools. Only for checkpoints that have a template. */
  toolTemplate(owner: TextOwner): Promise<ToolTemplate>;
  /** Reads the tokenizer where texts are tokenized, so that the next text does not wait for it. */
  prepare(): Promise<void>;
  /** Frees it there. */
  forget(): void;
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

const jsonLength = (value: unknown): number => (value === undefined ? 0 : JSON.stringify(value).length);

/** Maximum characters that a template may write: `always`, plus `each` for every message or character given. */
const written = { always: 65_536, each: 8 };

function textWork(source: TextSource, info: TokenizerInfo, workers: TextWorkers): TextWork {
  let tools: ToolTemplate | null = null;
  const render: TextWork['render'] = (messages, rendering, owner) => {
    // The frame around each message counts too: there may be thousands of empty messages.
    const characters = messages.reduce(
      (sum, { content, tool_calls: calls }) => sum + lengthOf(content) + jsonLength(calls) + 32,
      jsonLength(rendering.tools),
    );
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
    toolTemplate: async (owner) => {
      tools ??= await workers.run('tools', source, {}, 0, owner);
      return tools;
    },
    prepare: () => workers.prepare(source),
    forget: () => workers.forget(source),
    info,
  };
}
