import { parentPort } from 'node:worker_threads';
import { Tokenizer } from './tokenizer.ts';
import type { TokenizingJob, TokenizingResult } from './tokenizing-thread.ts';

/** Entry point of the tokenizing thread. */
const tokenizers = new Map<string, Tokenizer>();

function tokenizerOf(checkpoint: string): Tokenizer {
  const tokenizer = tokenizers.get(checkpoint) ?? Tokenizer.load(checkpoint);
  tokenizers.set(checkpoint, tokenizer);
  return tokenizer;
}

function answer({ number, checkpoint, text, addSpecialTokens }: TokenizingJob): TokenizingResult {
  try {
    return { number, tokens: Int32Array.from(tokenizerOf(checkpoint).encode(text, addSpecialTokens)) };
  } catch (error) {
    return { number, error: (error as Error).message };
  }
}

parentPort!.on('message', (job: TokenizingJob | { forget: string }) => {
  if ('forget' in job) tokenizers.delete(job.forget);
  else parentPort!.postMessage(answer(job));
});
