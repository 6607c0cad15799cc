import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { UsageError } from '../errors.ts';
import {
  environmentName,
  flagName,
  type SettingName,
  type SettingSchema,
  settingNames,
  settingSchema,
} from './settings.ts';

/** What the schema accepts, in words. */
function expectation(schema: SettingSchema): string {
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum}`;
  return 'a non-empty text';
}

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

function parse(schema: SettingSchema, text: string): string | number | boolean | undefined {
  switch (schema.type) {
    case 'boolean':
      return booleans.get(text);
    case 'integer': {
      if (!/^-?\d{1,15}$/.test(text)) return undefined;
      const value = Number(text);
      return value < schema.minimum! || value > schema.maximum! ? undefined : value;
    }
    case 'string':
      return text === '' || (schema.enum && !schema.enum.includes(text)) ? undefined : text;
  }
}

/**
 * @param source the variable or flag the text comes from
 * @throws UsageError that names the source, the value found (unless secret) and what is expected
 */
export function parseValue(schema: SettingSchema, source: string, text: string): string | number | boolean {
  const value = parse(schema, text);
  if (value !== undefined) return value;
  const reason = Object.hasOwn(schema.unavailable ?? {}, text) ? ` (${schema.unavailable?.[text]})` : '';
  const found = schema.secret ? 'its value is not valid' : `'${text.slice(0, 100)}' is not valid${reason}`;
  throw new UsageError(`${source}: ${found}; expected ${expectation(schema)}`);
}

/** A setting's value as text, with the variable or flag that gives it. */
export interface GivenValue {
  source: string;
  text: string;
}

function unknownFlag(flag: string, known: readonly string[]): UsageError {
  const secret = settingNames.find(
    (name) => flagName(name) === null && environmentName(name) === asVariable(flag),
  );
  if (secret) {
    return new UsageError(
      `${flag}: the command line would show this secret to others; set ${environmentName(secret)} instead`,
    );
  }
  const meant = nearMiss(flag, known);
  return new UsageError(
    `${flag}: no such flag${meant ? `; did you mean ${meant}?` : ', see altup serve --help'}`,
  );
}

const asVariable = (flag: string) => `ALTUP_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;

/**
 * The settings given as flags, unparsed: `--port 80`, `--port=80`, `--strict`, `--strict=false`.
 * @throws UsageError for an unknown flag, a flag without its value or a stray argument
 */
export function readFlags(argv: readonly string[]): Map<SettingName, GivenValue> {
  const names = new Map(
    settingNames.flatMap((name) => (flagName(name) ? [[flagName(name)!, name] as const] : [])),
  );
  const options = Object.fromEntries(
    [...names].map(([flag, name]) => {
      const type = settingSchema(name).type === 'boolean' ? ('boolean' as const) : ('string' as const);
      return [flag.slice(2), { type }];
    }),
  );
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  const given = new Map<SettingName, GivenValue>();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new UsageError(`unexpected argument '${token.value}'`);
    const name = names.get(token.rawName);
    if (name === undefined) throw unknownFlag(token.rawName, [...names.keys()]);
    const text = token.value ?? (settingSchema(name).type === 'boolean' ? 'true' : undefined);
    if (text === undefined) throw new UsageError(`${token.rawName}: needs a value`);
    given.set(name, { source: token.rawName, text });
  }
  return given;
}

/** The variables that Kubernetes and Docker derive from a service's name, and how to recognise their values. */
const serviceLinks: readonly [name: RegExp, isValue: (text: string) => boolean][] = [
  [/_SERVICE_HOST$/, (text) => isIP(text) > 0],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, (text) => /^\d{1,5}$/.test(text)],
  [/_PORT(_\d+_(TCP|UDP|SCTP))?$/, (text) => /^(tcp|udp|sctp):\/\//.test(text)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PROTO$/, (text) => /^(tcp|udp|sctp)$/.test(text)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PORT$/, (text) => /^\d{1,5}$/.test(text)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_ADDR$/, (text) => isIP(text) > 0],
];

const origin =
  'Kubernetes sets such variables for a Service of that name; set enableServiceLinks: false in the pod, or rename the Service';

export interface EnvironmentSettings {
  /** Unparsed. */
  given: Map<SettingName, GivenValue>;
  /** Sentences about variables that look like settings but are not. */
  warnings: string[];
}

/**
 * The settings given as `ALTUP_*` variables.
 * @throws UsageError for an `ALTUP_*` variable that is not a setting
 */
export function readEnvironment(env: Record<string, string | undefined>): EnvironmentSettings {
  const names = new Map(settingNames.map((name) => [environmentName(name), name]));
  const given = new Map<SettingName, GivenValue>();
  const warnings: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('ALTUP_') || text === undefined) continue;
    const links = serviceLinks.filter(([pattern]) => pattern.test(variable));
    const name = names.get(variable);
    if (links.some(([, isValue]) => isValue(text))) warnings.push(`${variable} is ignored: ${origin}`);
    else if (name !== undefined) given.set(name, { source: variable, text });
    else throw new UsageError(`${variable}: no such setting${hint(variable, links.length > 0)}`);
  }
  return { given, warnings };
}

function hint(variable: string, isLinkName: boolean): string {
  const meant = nearMiss(variable, settingNames.map(environmentName));
  if (meant !== null) return `; did you mean ${meant}?`;
  return isLinkName ? `; ${origin}` : ', see altup serve --help';
}

/** Minimum insertions, deletions and substitutions between two words. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** The known name closest to an unknown one, or null when none is close. */
export function nearMiss(unknown: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(unknown.length / 4)) + 1;
  for (const name of known) {
    const distance = editDistance(unknown, name);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}
