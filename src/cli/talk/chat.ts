import { ConfigurationError } from '../../errors.ts';
import type { Connection } from './connect.ts';
import { type Answer, printAnswer, type Terminal } from './converse.ts';
import { streamText } from './server.ts';

interface Message {
  role: 'user' | 'assistant';
  content: string;
}

/** A chat with its history. */
export class Chat {
  readonly #connection: Omit<Connection, 'close'>;
  readonly #fields: object;
  readonly #terminal: Terminal;
  #system: string | null;
  #messages: Message[] = [];

  /** @param fields further fields of every request */
  constructor(
    connection: Omit<Connection, 'close'>,
    fields: object,
    system: string | null,
    terminal: Terminal,
  ) {
    this.#connection = connection;
    const { contextTokens } = connection;
    this.#fields = contextTokens === null ? fields : { max_tokens: Math.ceil(contextTokens / 4), ...fields };
    this.#system = system;
    this.#terminal = terminal;
  }

  /** Takes a line that a person typed: a command or a message. */
  async take(line: string, signal: AbortSignal): Promise<Answer | null | 'end'> {
    const { notes } = this.#terminal;
    const [, command, rest = ''] = /^\/(\S+)\s*(.*)$/.exec(line) ?? [];
    switch (command) {
      case 'quit':
        return 'end';
      case 'reset':
        this.#messages = [];
        notes.write('The chat begins anew.\n');
        return null;
      case 'system':
        this.#system = rest === '' ? null : rest;
        notes.write(rest === '' ? 'No system text.\n' : 'The model reads this before the chat.\n');
        return null;
      case undefined:
        return await this.ask(line, signal).catch((error) => {
          // A server's words on a chat that is too long do not say what to do here.
          if (!(error instanceof ConfigurationError) || this.#messages.length === 0) throw error;
          throw new ConfigurationError(
            `${error.message}\nIf the chat has become too long, /reset begins it anew.`,
          );
        });
      default:
        notes.write(`There is no /${command}; there are /reset, /system TEXT and /quit.\n`);
        return null;
    }
  }

  /**
   * Sends a message and prints the answer.
   * @throws ConfigurationError if no answer comes; the message is then not part of the chat
   */
  async ask(content: string, signal: AbortSignal): Promise<Answer> {
    const { server, model } = this.#connection;
    const question: Message = { role: 'user', content };
    const system = this.#system === null ? [] : [{ role: 'system', content: this.#system }];
    const messages = [...system, ...this.#messages, question];
    const pieces = streamText(server, '/v1/chat/completions', { model, messages, ...this.#fields }, signal);
    const answer = await printAnswer(this.#terminal, pieces, signal);
    // A stopped answer counts as far as it came: templates want roles to alternate.
    if (answer.text !== '') this.#messages.push(question, { role: 'assistant', content: answer.text });
    return answer;
  }
}
