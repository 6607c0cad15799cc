import { UsageError } from '../../errors.ts';
import { type ArrivalPattern, readTrace } from '../load/arrivals.ts';
import { parseLengths } from '../load/length-distribution.ts';
import { builtInText, type NextPrompt, promptsFromFile, promptsFromText } from '../load/prompts.ts';
import { randomStream } from '../load/random-stream.ts';
import type { RequestOptions } from '../load/target.ts';
import type { Load } from '../stage.ts';
import { findTargets } from './find-targets.ts';
import { parseObjectives } from './objectives.ts';
import type { Plan } from './plan.ts';

/** Values of the flags as given, or their defaults. */
export interface FlagValues {
  text(flag: string): string | undefined;
  list(flag: string): readonly string[];
  isSet(flag: string): boolean;
}

/** @throws UsageError that names the flag at fault */
export async function readPlan(values: FlagValues, environment: NodeJS.ProcessEnv): Promise<Plan> {
  if (values.isSet('sweep') && (values.isSet('trace') || values.isSet('concurrency'))) {
    throw new UsageError('--sweep raises a rate, so it cannot be combined with --trace or --concurrency');
  }
  if (values.isSet('trace') && values.isSet('concurrency')) {
    throw new UsageError(
      '--trace sets arrival times and --concurrency a number of waiting clients; give only one of them',
    );
  }
  const request = readRequest(values, environment);
  const trace = values.text('trace');
  return {
    request,
    arrivals:
      trace === undefined
        ? readPattern(values.text('arrivals')!)
        : { kind: 'trace', times: readTrace(trace) },
    loads: readLoads(values),
    sweepFactor: values.isSet('sweep') ? numberOf(values, 'sweep-factor', { above: 1 }) : null,
    order: choiceOf(values, 'order', ['turns', 'interleaved']),
    extent: {
      durationMs: numberOf(values, 'duration', { above: 0 }) * 1000,
      requests:
        values.text('requests') === undefined ? Number.POSITIVE_INFINITY : wholeOf(values, 'requests', 1),
    },
    warmUpRequests: wholeOf(values, 'warm-up', 0),
    seed: wholeOf(values, 'seed', 0),
    promptsOf: readPrompts(values),
    judgement: {
      objectives: values.text('slo') === undefined ? null : parseObjectives(values.text('slo')!),
      maxLagMs: numberOf(values, 'max-lag', { above: 0 }),
    },
    // Asks the servers, so this comes after every flag is read.
    targets: await findTargets(
      values.list('url'),
      values.list('model'),
      values.list('baseline'),
      request.apiKey,
    ),
  };
}

function readRequest(values: FlagValues, environment: NodeJS.ProcessEnv): RequestOptions {
  return {
    endpoint: choiceOf(values, 'endpoint', ['completions', 'chat']),
    temperature: numberOf(values, 'temperature', { above: -Number.EPSILON }),
    fields: {
      ...(values.isSet('ignore-eos') ? { ignore_eos: true } : {}),
      ...readFields(values.text('body')),
    },
    timeoutMs: numberOf(values, 'timeout', { above: 0 }) * 1000,
    apiKey: values.text('api-key') ?? environment.ALTUP_API_KEY ?? null,
  };
}

function readFields(text = '{}'): Record<string, unknown> {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`--body: ${(cause as Error).message}`, { cause });
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new UsageError('--body: expected a JSON object');
  }
  return fields as Record<string, unknown>;
}

function readPattern(text: string): ArrivalPattern {
  if (text === 'poisson' || text === 'constant') return { kind: text };
  const burstiness = Number(/^gamma:(.+)$/.exec(text)?.[1]);
  if (burstiness > 0) return { kind: 'gamma', burstiness };
  throw new UsageError(
    `--arrivals: "${text}" is not valid; expected poisson, constant or gamma:B with B above 0`,
  );
}

function readLoads(values: FlagValues): Load[] {
  if (values.isSet('trace')) return [{ kind: 'open', rate: null }];
  const flag = values.isSet('concurrency') ? 'concurrency' : 'rate';
  return values
    .text(flag)!
    .split(',')
    .map((part): Load => {
      const number = Number(part);
      if (!(number > 0) || (flag === 'concurrency' && !Number.isInteger(number))) {
        throw new UsageError(
          `--${flag}: "${part}" is not a ${flag === 'rate' ? '' : 'whole '}number above 0`,
        );
      }
      return flag === 'rate' ? { kind: 'open', rate: number } : { kind: 'closed', concurrency: number };
    });
}

function readPrompts(values: FlagValues): (seed: number) => NextPrompt {
  const outputTokens = parseLengths('--output-tokens', values.text('output-tokens')!);
  const promptWords = parseLengths('--prompt-words', values.text('prompt-words')!);
  const file = values.text('prompts');
  const text = builtInText();
  const promptsOf = (seed: number) => {
    const randoms = {
      place: randomStream(seed, 'prompts'),
      promptLength: randomStream(seed, 'prompt lengths'),
      outputLength: randomStream(seed, 'output lengths'),
    };
    return file === undefined
      ? promptsFromText(text, promptWords, outputTokens, randoms)
      : promptsFromFile(file, outputTokens, randoms);
  };
  // Reads the file now, so that a fault in it is found before anything is sent.
  promptsOf(0);
  return promptsOf;
}

function numberOf(values: FlagValues, flag: string, { above }: { above: number }): number {
  const text = values.text(flag)!;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value > above) return value;
  throw new UsageError(`--${flag}: "${text}" is not a number above ${Math.max(0, above)}`);
}

function wholeOf(values: FlagValues, flag: string, least: number): number {
  const value = Number(values.text(flag));
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(`--${flag}: "${values.text(flag)}" is not a whole number from ${least}`);
}

function choiceOf<T extends string>(values: FlagValues, flag: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === values.text(flag));
  if (found) return found;
  throw new UsageError(`--${flag}: "${values.text(flag)}" is not valid; expected ${choices.join(', ')}`);
}
