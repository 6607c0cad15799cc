import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { UsageError } from '../../errors.ts';
import { readServerUrl } from '../../loadtest/plan/find-targets.ts';

/** The flags that `chat` and `complete` share, as their help prints them. @param length the default of an answer's */
export const talkFlags = (
  length: string,
) => `  --url URL          server, with or without /v1 (default: the service on this machine, else one is started)
  --max-tokens N     maximum tokens of an answer (default: ${length})
  --temperature T    0 always takes the most likely token (default: the model's)
  --seed N           the same seed, prompt and parameters give the same answer
  --api-key KEY      sent as a bearer token; prefer the environment variable ALTUP_API_KEY
  -h, --help         print this
`;

const text = { type: 'string' } as const;

/** Reads the shared flags, and a command's own `options`. @returns null if the user asks for help */
export function readTalkArguments<const Options extends ParseArgsOptionsConfig>(
  args: string[],
  options: Options,
) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...options,
      url: text,
      'max-tokens': text,
      temperature: text,
      seed: text,
      'api-key': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  const given = values as Record<string, string | undefined> & { help?: boolean };
  if (given.help) return null;
  return {
    given,
    url: given.url === undefined ? undefined : readServerUrl(given.url),
    positionals,
    fields: {
      ...numberField(given, 'max-tokens', 'max_tokens', /^[1-9]\d{0,8}$/),
      ...numberField(given, 'temperature', 'temperature', /^\d+(\.\d+)?$/),
      ...numberField(given, 'seed', 'seed', /^-?\d{1,15}$/),
    },
  };
}

function numberField(given: Record<string, string | undefined>, flag: string, field: string, form: RegExp) {
  const value = given[flag];
  if (value === undefined) return {};
  if (!form.test(value)) throw new UsageError(`--${flag}: "${value}" is not valid; expected a number`);
  return { [field]: Number(value) };
}
