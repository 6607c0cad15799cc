import { readFileSync } from 'node:fs';
import { ConfigurationError } from '../../errors.ts';

export interface FileLine {
  text: string;
  /** For errors: `line 3 of prompts.txt`. */
  where: string;
}

/** The non-empty lines of a file. @param flag named in the error @throws ConfigurationError */
export function readLines(flag: string, file: string): FileLine[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigurationError(`${flag}: cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  return text
    .split('\n')
    .map((line, i) => ({ text: line.trim(), where: `line ${i + 1} of ${file}` }))
    .filter((line) => line.text !== '');
}

/** The fields of a line of JSON. @throws ConfigurationError */
export function parseJsonLine(flag: string, { text, where }: FileLine): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new ConfigurationError(`${flag}: ${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
}
