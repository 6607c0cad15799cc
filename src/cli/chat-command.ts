import { text } from 'node:stream/consumers';
import { UsageError } from '../errors.ts';
import { runCommand } from './command.ts';
import { readTalkArguments, talkFlags } from './talk/arguments.ts';
import { Chat } from './talk/chat.ts';
import { connect } from './talk/connect.ts';
import { converse, type Terminal } from './talk/converse.ts';

const usage = `Usage: altup chat [model] [options]

Talks to a model: type a message, read the answer. The model is a name of /v1/models (default: the first with a chat
template), a folder, or a model of the Hugging Face hub. Without a running service, one is started for the chat.
Ctrl-C stops an answer; /reset, /system TEXT and /quit are commands. A piped input is one message.

  --system TEXT      what the model is told before the chat
${talkFlags("a quarter of the model's context")}`;

type Arguments = NonNullable<ReturnType<typeof read>>;

/** @returns the exit code: 0 done, 1 no server, model or answer, 2 wrong usage */
export const chatCommand = (args: string[]) => runCommand({ name: 'chat', usage, read, run }, args);

function read(args: string[]) {
  const parsed = readTalkArguments(args, { system: { type: 'string' } });
  if (parsed && parsed.positionals.length > 1)
    throw new Error(`expected one model, got ${parsed.positionals.length}`);
  return parsed;
}

async function run({ given, url, positionals: [model], fields }: Arguments): Promise<number> {
  const { stdin, stdout, stderr } = process;
  const terminal: Terminal = { input: stdin, output: stdout, notes: stderr };
  const isTyped = stdin.isTTY && stdout.isTTY;
  const message = isTyped ? '' : (await text(stdin)).trim();
  if (!isTyped && message === '') throw new UsageError('there is no message');
  const wanted = { url, model, apiKey: given['api-key'], isChat: true };
  const connection = await connect(wanted, process.env, (note) => stderr.write(`${note}\n`));
  try {
    const chat = new Chat(connection, fields, given.system ?? null, terminal);
    if (isTyped) {
      stderr.write(
        `Talking to ${connection.model} at ${connection.server.url}. /reset, /system TEXT, /quit\n`,
      );
      await converse(terminal, (line, signal) => chat.take(line, signal));
    } else await chat.ask(message, new AbortController().signal);
    return 0;
  } finally {
    await connection.close();
  }
}
