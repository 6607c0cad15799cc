import { parseArgs } from 'node:util';
import { ConfigurationError } from '../errors.ts';
import { flags, loadtestUsage } from '../loadtest/plan/flags.ts';
import type { FlagValues } from '../loadtest/plan/read-plan.ts';
import { runLoadtest } from '../loadtest/run-loadtest.ts';

/** @returns the exit code: 0 done, 1 it cannot run or its figures cannot be trusted, 2 wrong usage */
export async function loadtestCommand(args: string[]): Promise<number> {
  const values = parse(args);
  if (typeof values === 'string') {
    process.stderr.write(`altup loadtest: ${values}\n\n${loadtestUsage()}`);
    return 2;
  }
  if (values.isSet('help')) {
    process.stdout.write(loadtestUsage());
    return 0;
  }
  try {
    return (await runLoadtest(values, process)) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`altup loadtest: ${error.message}\n`);
    return 1;
  }
}

/** The flags' values, or what is wrong with them. */
function parse(args: string[]): FlagValues | string {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value, isList }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const), multiple: isList ?? false },
    ]),
  );
  try {
    const { values } = parseArgs({ args, options });
    const defaultOf = (flag: string) => flags[flag]?.default;
    return {
      text: (flag) => (values[flag] as string | undefined) ?? defaultOf(flag),
      list: (flag) => (values[flag] as string[] | undefined) ?? [defaultOf(flag) ?? []].flat(),
      isSet: (flag) => values[flag] !== undefined,
    };
  } catch (error) {
    return (error as Error).message;
  }
}
