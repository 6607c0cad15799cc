import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { ConfigurationError } from '../../errors.ts';
import type { Ending } from './server.ts';

/** Where a person types and reads. */
export interface Terminal {
  input: Readable & { isTTY?: boolean };
  output: Writable & { isTTY?: boolean };
  /** For words that are not part of an answer. */
  notes: Writable;
}

/** Characters that would change a terminal instead of showing. A model may write any. */
const controls = /[^\P{Cc}\n\t]/gu;

export interface Answer extends Ending {
  /** As far as it came. */
  text: string;
  isStopped: boolean;
}

/** Writes the pieces of an answer as they come. @throws ConfigurationError if the server fails */
export async function printAnswer(
  { output }: Terminal,
  pieces: AsyncGenerator<string, Ending>,
  signal: AbortSignal,
): Promise<Answer> {
  let text = '';
  try {
    for (;;) {
      const next = await pieces.next();
      if (next.done) return { text, ...next.value, isStopped: false };
      text += next.value;
      output.write(output.isTTY ? next.value.replace(controls, '') : next.value);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    return { text, tokens: null, isCutOff: false, isStopped: true };
  } finally {
    if (text !== '' && !text.endsWith('\n')) output.write('\n');
  }
}

/**
 * Reads lines and answers each one until the input ends. Ctrl-C stops the answer, not the program.
 * @param answer returns null for a line that is no question, `end` for the last one
 */
export async function converse(
  { input, output, notes }: Terminal,
  answer: (line: string, signal: AbortSignal) => Promise<Answer | null | 'end'>,
): Promise<void> {
  const lines = createInterface({ input, output, prompt: '> ', terminal: true });
  let stop: AbortController | null = null;
  lines.on('SIGINT', () => {
    if (stop !== null) return stop.abort();
    // As in a shell: Ctrl-C throws a half-typed line away.
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    notes.write('\n(Ctrl-D ends)\n');
    lines.prompt();
  });
  lines.prompt();
  for await (const line of lines) {
    if (line.trim() !== '') {
      stop = new AbortController();
      const startedAt = performance.now();
      const given = await answer(line, stop.signal).catch((error) => refusal(error, notes));
      stop = null;
      if (given === 'end') break;
      if (given !== null) notes.write(summary(given, performance.now() - startedAt));
    }
    lines.prompt();
  }
  lines.close();
  notes.write('\n');
}

/** A question without an answer; the next one may have one. @throws every error that is a fault of the program */
function refusal(error: unknown, notes: Writable): null {
  if (!(error instanceof ConfigurationError)) throw error;
  notes.write(`${error.message}\n`);
  return null;
}

function summary({ tokens, isCutOff, isStopped }: Answer, durationMs: number): string {
  if (isStopped) return '(stopped)\n';
  const count = tokens === null ? '' : `${tokens} token${tokens === 1 ? '' : 's'} in `;
  return `(${count}${(durationMs / 1000).toFixed(1)} s${isCutOff ? ', cut off by --max-tokens' : ''})\n`;
}
