import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError, UsageError } from '../errors.ts';

interface Command<Arguments> {
  name: string;
  usage: string;
  /** @returns null if the user asks for help @throws Error that says what is wrong with the arguments */
  read(args: string[]): Arguments | null;
  /** @returns the exit code */
  run(parsed: Arguments): Promise<number>;
}

/** @returns the exit code: that of `run`, 2 for wrong usage, 1 for another ConfigurationError */
export async function runCommand<Arguments>(
  { name, usage, read, run }: Command<Arguments>,
  args: string[],
): Promise<number> {
  // The reader of a pipe may leave early, as in `altup inspect models/x | head`.
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  let parsed: Arguments | null;
  try {
    parsed = read(args);
  } catch (error) {
    // Without Node's advice on arguments that begin with a dash, which has three quotes too few.
    const message = (error as Error).message.replace(/ To specify a positional argument .*/s, '');
    process.stderr.write(`altup ${name}: ${message}\n\n${usage}`);
    return 2;
  }
  if (parsed === null) {
    process.stdout.write(usage);
    return 0;
  }
  try {
    return await run(parsed);
  } catch (error) {
    return reportFailure(name, error);
  }
}

/** Prints why a command failed. @returns its exit code @throws every error that is a fault of the program */
export function reportFailure(command: string, error: unknown): number {
  if (!(error instanceof ConfigurationError)) throw error;
  process.stderr.write(`altup ${command}: ${error.message}\n`);
  return error instanceof UsageError ? 2 : 1;
}

/**
 * Reads the arguments of a command for one model: its folder, `--precision`, and the command's own `options`.
 * @param what the folder in the error message
 */
export function readModelArguments<const Options extends ParseArgsOptionsConfig>(
  args: string[],
  what: string,
  options: Options,
) {
  const common = {
    precision: { type: 'string', default: 'fp32' },
    help: { type: 'boolean', short: 'h', default: false },
  } as const;
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...options, ...common },
  });
  const { precision: asked, help } = values as { precision: string; help: boolean };
  const precision: Precision | undefined = precisions.find((known) => known === asked);
  if (!precision) throw new Error(`--precision is "${asked}"; expected ${precisions.join(', ')}`);
  if (help) return null;
  const [model] = positionals;
  if (model === undefined || positionals.length > 1)
    throw new Error(`expected one ${what} folder, got ${positionals.length}`);
  return { ...values, model, precision };
}
