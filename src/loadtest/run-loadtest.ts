import { closeSync, existsSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { ConfigurationError } from '../errors.ts';
import { countsAgree } from './cross-check.ts';
import { type FlagValues, readPlan } from './plan/read-plan.ts';
import { benchJson } from './report/bench-json.ts';
import { htmlReport } from './report/html-report.ts';
import { progressLine } from './report/progress.ts';
import { textReport } from './report/text-report.ts';
import { type LoadtestResult, runPlan } from './run-plan.ts';

const reportFlags = ['json', 'html'] as const;

type Surroundings = Pick<NodeJS.Process, 'env' | 'stdout' | 'stderr'>;

/**
 * Runs `altup loadtest`, from the flags to the reports.
 * @returns whether the figures can be trusted: a request was answered, the client kept to its schedule, and no count
 * differs
 * @throws ConfigurationError
 */
export async function runLoadtest(
  values: FlagValues,
  { env, stdout, stderr }: Surroundings,
): Promise<boolean> {
  for (const flag of reportFlags) {
    const file = values.text(flag);
    if (file !== undefined) tryToWrite(flag, file);
  }
  const plan = await readPlan(values, env);
  const progress = progressLine(stderr);
  let result: LoadtestResult;
  try {
    result = await runPlan(plan, progress);
  } finally {
    progress.stop();
  }
  stdout.write(`\n${textReport(result)}`);
  const reports: Record<(typeof reportFlags)[number], () => string> = {
    json: () => `${JSON.stringify(benchJson(plan, result), null, 2)}\n`,
    html: () => htmlReport(plan, result),
  };
  for (const [flag, report] of Object.entries(reports)) {
    const file = values.text(flag);
    if (file !== undefined) write(flag, file, report());
  }
  const { stages, checks } = result;
  return (
    countsAgree(checks) !== false &&
    stages.every(({ isValid }) => isValid) &&
    stages.some(({ completed }) => completed > 0)
  );
}

/** A run of an hour must not end with a report that cannot be written. Changes no file. */
function tryToWrite(flag: string, file: string): void {
  const isThere = existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (!isThere) unlinkSync(file);
  } catch (cause) {
    throw cannotWrite(flag, file, cause);
  }
}

function cannotWrite(flag: string, file: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(`--${flag}: cannot write ${file}: ${(cause as Error).message}`, { cause });
}

function write(flag: string, file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (cause) {
    throw cannotWrite(flag, file, cause);
  }
}
