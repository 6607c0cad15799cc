import { parseArgs } from 'node:util';
import { flags, loadtestUsage } from '../loadtest/plan/flags.ts';
import type { FlagValues } from '../loadtest/plan/read-plan.ts';
import { runLoadtest } from '../loadtest/run-loadtest.ts';
import { runCommand } from './command.ts';

/** @returns the exit code: 0 done, 1 it cannot run or its figures cannot be trusted, 2 wrong usage */
export const loadtestCommand = (args: string[]) =>
  runCommand({ name: 'loadtest', usage: loadtestUsage(), read, run }, args);

const run = async (values: FlagValues) => ((await runLoadtest(values, process)) ? 0 : 1);

function read(args: string[]): FlagValues | null {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value, isList, short }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: isList ?? false,
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  const { values } = parseArgs({ args, options });
  if (values.help !== undefined) return null;
  const defaultOf = (flag: string) => flags[flag]?.default;
  return {
    text: (flag) => (values[flag] as string | undefined) ?? defaultOf(flag),
    list: (flag) => (values[flag] as string[] | undefined) ?? [defaultOf(flag) ?? []].flat(),
    isSet: (flag) => values[flag] !== undefined,
  };
}
