import { ConfigurationError } from '../errors.ts';
import { nearMiss } from './near-miss.ts';
import type { GivenValue } from './read-flags.ts';
import { environmentName, type SettingName, settingNames } from './settings.ts';

/**
 * The settings given as `ALTUP_*` variables, unparsed.
 * @throws ConfigurationError for an `ALTUP_*` variable that is none
 */
export function readEnvironment(env: Record<string, string | undefined>): Map<SettingName, GivenValue> {
  const names = new Map(settingNames.map((name) => [environmentName(name), name]));
  const given = new Map<SettingName, GivenValue>();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('ALTUP_') || text === undefined) continue;
    const name = names.get(variable);
    if (name === undefined) {
      const meant = nearMiss(variable, [...names.keys()]);
      throw new ConfigurationError(
        `${variable}: no such setting${meant ? `; did you mean ${meant}?` : ', see altup serve --help'}`,
      );
    }
    given.set(name, { source: variable, text });
  }
  return given;
}
