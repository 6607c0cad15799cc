import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '../../errors.ts';
import { type FileLine, parseJsonLine, readLines } from '../plan/read-lines.ts';
import type { LengthDistribution } from './length-distribution.ts';
import type { RandomStream } from './random-stream.ts';

/** The text to continue in one request, and the maximum tokens to generate. */
export interface Prompt {
  text: string;
  maxTokens: number;
}

export type NextPrompt = () => Prompt;

export interface PromptRandoms {
  place: RandomStream;
  promptLength: RandomStream;
  outputLength: RandomStream;
}

/** English prose in the public domain: Jane Austen's "Emma", 1815. */
const builtInFile = join(import.meta.dirname, 'built-in-text.txt');

const wordsOf = (text: string) => text.split(/\s+/).filter((word) => word !== '');

/**
 * Prompts cut from a running text at random places, so that few begin alike and a prefix cache finds nothing.
 * @param promptWords length of the prompts in words
 */
export function promptsFromText(
  text: string,
  promptWords: LengthDistribution,
  outputTokens: LengthDistribution,
  randoms: PromptRandoms,
): NextPrompt {
  const words = wordsOf(text);
  return () => {
    const length = promptWords(randoms.promptLength);
    const from = Math.floor(randoms.place() * words.length);
    const cut = Array.from({ length }, (_, i) => words[(from + i) % words.length]);
    return { text: cut.join(' '), maxTokens: outputTokens(randoms.outputLength) };
  };
}

export const builtInText = () => readFileSync(builtInFile, 'utf8');

/**
 * Prompts drawn from a file at random, with repetition: JSON lines with `prompt` and, to override the distribution,
 * `max_tokens`; or text, one prompt per line.
 * @throws ConfigurationError
 */
export function promptsFromFile(
  file: string,
  outputTokens: LengthDistribution,
  randoms: PromptRandoms,
): NextPrompt {
  const rows = readLines('--prompts', file).map(parseLine);
  if (rows.length === 0) throw new ConfigurationError(`--prompts: ${file} holds no prompt`);
  return () => {
    const row = rows[Math.floor(randoms.place() * rows.length)]!;
    return { text: row.text, maxTokens: row.maxTokens ?? outputTokens(randoms.outputLength) };
  };
}

function parseLine(line: FileLine): { text: string; maxTokens: number | null } {
  if (!line.text.startsWith('{')) return { text: line.text, maxTokens: null };
  const { prompt, max_tokens: maxTokens = null } = parseJsonLine('--prompts', line);
  if (typeof prompt !== 'string' || prompt === '') {
    throw new ConfigurationError(`--prompts: ${line.where} has no "prompt" with text`);
  }
  if (maxTokens === null) return { text: prompt, maxTokens: null };
  if (typeof maxTokens !== 'number' || !Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new ConfigurationError(`--prompts: "max_tokens" in ${line.where} is not a whole number above 0`);
  }
  return { text: prompt, maxTokens };
}
