import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../src/catalog/manifest.ts';
import type { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import type { Session } from '../src/runtime/session.ts';

const prefixLength = 64;
const continuationLength = 128;

/** A part of a chapter: the text that a model reads, and the continuation that is scored. */
export interface Window {
  prefix: readonly number[];
  continuation: readonly number[];
}

/** Chapters of Jane Austen's novels that no shipped model was trained on (`training/run training.corpus --held-out`). */
export function heldOutChapters(): string[] {
  return readFileSync(join(import.meta.dirname, 'austen-held-out.txt'), 'utf8')
    .trimEnd()
    .split('\n\n\n');
}

/** Continuations that tile every chapter after its first tokens: training/data.py uses the same for held-out loss. */
export function windowsOf(tokenizer: Tokenizer, chapters: readonly string[]): Window[] {
  return chapters.flatMap((chapter) => {
    const tokens = tokenizer.encode(chapter);
    const windows: Window[] = [];
    for (let at = prefixLength; at < tokens.length; at += continuationLength) {
      windows.push({
        prefix: tokens.slice(at - prefixLength, at),
        continuation: tokens.slice(at, at + continuationLength),
      });
    }
    return windows;
  });
}

/** Mean negative log likelihood of the continuations, in nats per token. */
export async function meanLoss(
  session: Session,
  { specialTokens, graphs }: Manifest,
  windows: readonly Window[],
): Promise<number> {
  let [loss, count] = [0, 0];
  for (const { prefix, continuation } of windows) {
    const shown =
      graphs.encoder === null ? [specialTokens.bos, ...prefix] : [...prefix, specialTokens.eos[0]];
    const read = shown.filter((token) => token !== null && token !== undefined);
    // One more token precedes the scored ones: the last of the prompt, or the decoder's start token.
    const last = graphs.encoder === null ? read.pop()! : specialTokens.decoderStart!;
    if (graphs.encoder !== null) await session.encode(0, read);
    else await session.prefill(0, read, 0, null);
    const chunk = [last, ...continuation.slice(0, -1)];
    const past = graphs.encoder === null ? read.length : 0;
    const scoring = { followers: continuation, alternatives: 0 };
    const { scores } = await session.prefill(0, chunk, past, null, scoring);
    for (const { logprob } of scores) loss -= logprob;
    count += scores.length;
  }
  return loss / count;
}
