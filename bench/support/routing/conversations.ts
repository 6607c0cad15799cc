import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SeededRandom } from '../../../test/support/seeded-random.ts';

/** A turn of a conversation, with what it costs if nothing of it is cached. */
export interface Conversation {
  atMs: number;
  id: number;
  assistant: number;
  /** Milliseconds from each answer's end to the next question. */
  pausesMs: number[];
  questions: string[];
}

export const turns = 4;
/** Characters, four to a token. */
const systemLength = 2400;
const questionLength = 160;

const text = readFileSync(join(import.meta.dirname, '../../austen-held-out.txt'), 'utf8');
const passage = (start: number, length: number) =>
  text.slice(start % (text.length - length)).slice(0, length);

/** The system prompt of an assistant; each differs from its first words on. */
export const systemPrompt = (assistant: number): string =>
  passage(assistant * (systemLength + 7), systemLength);

/** Conversations that begin at random (Poisson), each with one of the assistants. */
export function conversations(
  random: SeededRandom,
  assistants: number,
  perSecond: number,
  seconds: number,
): Conversation[] {
  const exponential = (mean: number) => -mean * Math.log(1 - random.next());
  const all: Conversation[] = [];
  for (
    let atMs = exponential(1000 / perSecond);
    atMs < 1000 * seconds;
    atMs += exponential(1000 / perSecond)
  ) {
    const each = <T>(make: () => T) => Array.from({ length: turns }, make);
    all.push({
      atMs,
      id: all.length,
      assistant: random.below(assistants),
      pausesMs: each(() => exponential(3000)),
      questions: each(() => passage(random.below(text.length), questionLength)),
    });
  }
  return all;
}
