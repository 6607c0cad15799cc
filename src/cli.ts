#!/usr/bin/env node
import packageJson from '../package.json' with { type: 'json' };
import { reportFailure } from './cli/command.ts';

const usage = `Usage: altup <command> [arguments]

  chat [model]          talk to a model
  complete [text]       continue a text
  serve                 serve the models of a folder over HTTP
  export <checkpoint>   write a checkpoint as ONNX graphs
  inspect <model>       describe a checkpoint or an export
  loadtest              put servers under load and compare models

Run altup <command> --help for details, altup --version for the version.
`;

type Command = (args: string[]) => Promise<number | null>;

/** Imported on demand: the exporter does not need the HTTP side, and the server does not need the exporter. */
const commands: Record<string, () => Promise<Command>> = {
  chat: async () => (await import('./cli/chat-command.ts')).chatCommand,
  complete: async () => (await import('./cli/complete-command.ts')).completeCommand,
  serve: async () => (await import('./cli/serve-command.ts')).serveCommand,
  export: async () => (await import('./cli/export-command.ts')).exportCommand,
  inspect: async () => (await import('./cli/inspect-command.ts')).inspectCommand,
  loadtest: async () => (await import('./cli/loadtest-command.ts')).loadtestCommand,
};

/** @returns the exit code; null when the process keeps running */
async function main([name = '--help', ...args]: string[]): Promise<number | null> {
  if (name === '--version' || name === '-v') {
    process.stdout.write(`altup ${packageJson.version}\n`);
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    const [about] = args;
    if (about !== undefined && Object.hasOwn(commands, about)) return await main([about, '--help']);
    process.stdout.write(usage);
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!load) {
    process.stderr.write(`altup: unknown command "${name}"\n\n${usage}`);
    return 2;
  }
  try {
    return await (await load())(args);
  } catch (error) {
    return reportFailure(name, error);
  }
}

const code = await main(process.argv.slice(2));
if (code !== null) process.exitCode = code;
