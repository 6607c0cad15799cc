import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { createContext, runInNewContext, Script } from 'node:vm';
import { ConfigurationError } from '../../errors.ts';
import { ChatTemplate, ChatTemplateError, FinalMessageError } from '../tokenizer/chat-template.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readTokenizerInfo, type TokenizerInfo } from '../tokenizer/tokenizer-info.ts';
import { toolTemplate } from '../tokenizer/tool-template.ts';
import { tokenText } from '../tokenizer/vocabulary.ts';
import type { SentTextJob, TextFailure, TextJobs, TextJobType, TextResult, TextSource } from './text-jobs.ts';

/**
 * Entry point of a text process. It runs code from checkpoints (regular expressions, normalizers, chat templates), one
 * job at a time. It is a process, not a thread, because V8 ends the whole process when some allocations fail, whatever
 * a thread's limits, and because a thread inside a built-in function cannot be stopped.
 */

/** Maximum total size of the tokenizer.json files kept loaded; a loaded file takes about three times its size. */
const keptFileBytes = 2 ** 27;
/** Maximum tokens returned for one text; a byte-level vocabulary has at most 3 per UTF-16 unit. */
const maxTokensGiven = (text: string) => 65_536 + 4 * text.length;

interface Loaded {
  reading: number;
  tokenizer: Tokenizer;
  info: TokenizerInfo;
  chatTemplate: ChatTemplate | null;
  fileBytes: number;
}

class SizeError extends Error {}

/** By checkpoint folder, most recently used last. */
const kept = new Map<string, Loaded>();

const interruptible = createContext({ run: (): unknown => null });
const entry = new Script('run()');

setFlagsFromString('--expose-gc');
const collectGarbage: (options: object) => void = runInNewContext('gc');

/** A tokenizer has come or gone since garbage was last collected. */
let hasGarbage = false;

/** A process that waits collects nothing by itself: 150 MB stay after reading a vocabulary of 262,144 tokens. */
function collect(): void {
  if (!hasGarbage) return;
  hasGarbage = false;
  collectGarbage({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** Runs a function with a time limit. @throws Error with the code `ERR_SCRIPT_EXECUTION_TIMEOUT` */
function within<T>(milliseconds: number, run: () => T): T {
  interruptible.run = run;
  return entry.runInContext(interruptible, { timeout: milliseconds }) as T;
}

function load({ checkpoint, reading }: TextSource, milliseconds: number): Loaded {
  let loaded = kept.get(checkpoint);
  kept.delete(checkpoint);
  if (loaded?.reading !== reading) loaded = undefined;
  if (!loaded) hasGarbage = true;
  loaded ??= within(milliseconds, () => {
    const tokenizer = Tokenizer.load(checkpoint);
    const info = readTokenizerInfo(checkpoint);
    const fileBytes = statSync(join(checkpoint, 'tokenizer.json')).size;
    return { reading, tokenizer, info, chatTemplate: ChatTemplate.load(info), fileBytes };
  });
  kept.set(checkpoint, loaded);
  let total = [...kept.values()].reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  for (const [folder, { fileBytes }] of kept) {
    if (total <= keptFileBytes || folder === checkpoint) break;
    kept.delete(folder);
    total -= fileBytes;
  }
  return loaded;
}

const run: { [T in TextJobType]: (loaded: Loaded, job: TextJobs[T]['job']) => TextJobs[T]['answer'] } = {
  load: ({ tokenizer, info }) => ({ vocabulary: tokenizer.data, info }),
  encode: ({ tokenizer }, { texts, addSpecialTokens, last }) =>
    texts.map((text) => {
      const tokens = tokenizer.encode(text, addSpecialTokens);
      const from = Math.max(0, tokens.length - last);
      return { count: tokens.length, tokens: Int32Array.from(from === 0 ? tokens : tokens.slice(from)) };
    }),
  tokenize: ({ tokenizer }, { text, addSpecialTokens, givesStrings }) => {
    const tokens = tokenizer.encode(text, addSpecialTokens);
    const max = maxTokensGiven(text);
    if (tokens.length > max) {
      throw new SizeError(`${text.length} characters became ${tokens.length} tokens, more than ${max}`);
    }
    const strings = givesStrings ? tokens.map((id) => tokenText(tokenizer.tokenBytes(id))) : null;
    const fields = `"tokens":[${tokens.join()}],"token_strs":${JSON.stringify(strings)}`;
    return { count: tokens.length, fields: Buffer.from(fields) };
  },
  render: ({ chatTemplate }, { messages, rendering, maxCharacters }) => {
    const text = chatTemplate!.render(messages, rendering);
    if (text.length <= maxCharacters) return text;
    throw new SizeError(`it wrote ${text.length} characters, more than ${maxCharacters}`);
  },
  tools: ({ chatTemplate }) => toolTemplate(chatTemplate!),
};

function perform({ type, source, job, loadMs, jobMs }: SentTextJob): TextResult {
  try {
    const loaded = load(source, loadMs);
    return { answer: within(jobMs, () => run[type](loaded, job as never)) };
  } catch (error) {
    return { failure: failureOf(error as Error & { code?: string }) };
  }
}

function failureOf(error: Error & { code?: string }): TextFailure {
  const { message } = error;
  if (error instanceof ConfigurationError) return { reason: 'configuration', message };
  if (error instanceof ChatTemplateError) return { reason: 'template', message };
  if (error instanceof FinalMessageError) return { reason: 'final', message };
  if (error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return { reason: 'time', message };
  if (error instanceof SizeError || error instanceof RangeError) return { reason: 'size', message };
  return { reason: 'other', message };
}

try {
  // If memory runs out, the kernel should kill this process rather than the service.
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // Not on Linux.
}
// A terminal or systemd signals all processes of the service; the service ends this one when it no longer needs it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
process.on('message', (message: SentTextJob | { forget: string }) => {
  if ('forget' in message) {
    if (kept.delete(message.forget)) hasGarbage = true;
    collect();
  } else {
    // Not before the answer is written, because somebody waits for it.
    process.send!(perform(message), collect);
  }
});
