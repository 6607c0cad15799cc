import { text } from 'node:stream/consumers';
import { UsageError } from '../errors.ts';
import { runCommand } from './command.ts';
import { readTalkArguments, talkFlags } from './talk/arguments.ts';
import { connect } from './talk/connect.ts';
import { converse, printAnswer, type Terminal } from './talk/converse.ts';
import { streamText } from './talk/server.ts';

/** The API's own default, 16, is too short to show anything. */
const defaultMaxTokens = 64;

const usage = `Usage: altup complete [text] [options]

Continues a text: the arguments, else a piped input, else each line that you type. Without a running service, one is
started for it. Ctrl-C stops an answer.

  --model NAME       a name of /v1/models (default: the first), a folder, or a model of the Hugging Face hub
${talkFlags(`${defaultMaxTokens}`)}`;

type Arguments = NonNullable<ReturnType<typeof read>>;

/** @returns the exit code: 0 done, 1 no server, model or answer, 2 wrong usage, 130 stopped by Ctrl-C */
export const completeCommand = (args: string[]) => runCommand({ name: 'complete', usage, read, run }, args);

const read = (args: string[]) => readTalkArguments(args, { model: { type: 'string' } });

async function run({ given, url, positionals, fields }: Arguments): Promise<number> {
  const { stdin, stdout, stderr } = process;
  const terminal: Terminal = { input: stdin, output: stdout, notes: stderr };
  const isTyped = positionals.length === 0 && stdin.isTTY && stdout.isTTY;
  const prompt = isTyped ? '' : positionals.join(' ') || (await text(stdin)).replace(/\r?\n$/, '');
  if (!isTyped && prompt === '') throw new UsageError('there is no text to continue');
  const wanted = { url, model: given.model, apiKey: given['api-key'], isChat: false };
  const { server, model, close } = await connect(wanted, process.env, (note) => stderr.write(`${note}\n`));
  const complete = async (prompt: string, signal: AbortSignal) => {
    const body = { model, max_tokens: defaultMaxTokens, ...fields, prompt };
    return await printAnswer(terminal, streamText(server, '/v1/completions', body, signal), signal);
  };
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal);
  try {
    if (!isTyped) return (await complete(prompt, stop.signal)).isStopped ? 130 : 0;
    stderr.write(`${model} at ${server.url} continues what you type.\n`);
    await converse(terminal, complete);
    return 0;
  } finally {
    process.off('SIGINT', onSignal);
    await close();
  }
}
