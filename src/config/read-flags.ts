import { parseArgs } from 'node:util';
import { ConfigurationError } from '../errors.ts';
import { nearMiss } from './near-miss.ts';
import { environmentName, flagName, type SettingName, settingNames, settingSchema } from './settings.ts';

/** A setting's value as text, with the variable or flag it was given by. */
export interface GivenValue {
  source: string;
  text: string;
}

function unknownFlag(flag: string, known: readonly string[]): ConfigurationError {
  const secret = settingNames.find(
    (name) => flagName(name) === null && environmentName(name) === asVariable(flag),
  );
  if (secret) {
    return new ConfigurationError(
      `${flag}: a secret, which the command line would show to others; set ${environmentName(secret)}`,
    );
  }
  const meant = nearMiss(flag, known);
  return new ConfigurationError(
    `${flag}: no such flag${meant ? `; did you mean ${meant}?` : ', see altup serve --help'}`,
  );
}

const asVariable = (flag: string) => `ALTUP_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;

/**
 * The settings given as flags, unparsed: `--port 80`, `--port=80`, `--strict`, `--strict=false`.
 * @throws ConfigurationError for an unknown flag, a flag without its value or a stray argument
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
    if (token.kind === 'positional') throw new ConfigurationError(`unexpected argument '${token.value}'`);
    const name = names.get(token.rawName);
    if (name === undefined) throw unknownFlag(token.rawName, [...names.keys()]);
    const text = token.value ?? (settingSchema(name).type === 'boolean' ? 'true' : undefined);
    if (text === undefined) throw new ConfigurationError(`${token.rawName}: needs a value`);
    given.set(name, { source: token.rawName, text });
  }
  return given;
}
