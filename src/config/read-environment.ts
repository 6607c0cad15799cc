import { isIP } from 'node:net';
import { ConfigurationError } from '../errors.ts';
import { nearMiss } from './near-miss.ts';
import type { GivenValue } from './read-flags.ts';
import { environmentName, type SettingName, settingNames } from './settings.ts';

/** The variables that Kubernetes and Docker make of a service's name, and what their values look like. */
const serviceLinks: readonly [name: RegExp, isValue: (text: string) => boolean][] = [
  [/_SERVICE_HOST$/, (text) => isIP(text) > 0],
  [/_SERVICE_PORT(_[A-Z0-9_]+)?$/, (text) => /^\d{1,5}$/.test(text)],
  [/_PORT(_\d+_(TCP|UDP|SCTP))?$/, (text) => /^(tcp|udp|sctp):\/\//.test(text)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PROTO$/, (text) => /^(tcp|udp|sctp)$/.test(text)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_PORT$/, (text) => /^\d{1,5}$/.test(text)],
  [/_PORT_\d+_(TCP|UDP|SCTP)_ADDR$/, (text) => isIP(text) > 0],
];

const origin =
  'Kubernetes makes such variables for a Service of that name; set enableServiceLinks: false in the pod, or rename the Service';

export interface EnvironmentSettings {
  /** Unparsed. */
  given: Map<SettingName, GivenValue>;
  /** Sentences on variables that look like settings and are not. */
  warnings: string[];
}

/**
 * The settings given as `ALTUP_*` variables.
 * @throws ConfigurationError for an `ALTUP_*` variable that is no setting
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
    else throw new ConfigurationError(`${variable}: no such setting${hint(variable, links.length > 0)}`);
  }
  return { given, warnings };
}

function hint(variable: string, isLinkName: boolean): string {
  const meant = nearMiss(variable, settingNames.map(environmentName));
  if (meant !== null) return `; did you mean ${meant}?`;
  return isLinkName ? `; ${origin}` : ', see altup serve --help';
}
