import { type Precision, precisions } from '../catalog/manifest.ts';
import { UsageError } from '../errors.ts';
import { ApiKeys } from './api-keys.ts';
import { availableThreads } from './available-threads.ts';
import {
  isLoopback,
  parseAllowedHosts,
  parseCorsOrigins,
  parseServerOrigins,
  parseTrustedProxies,
} from './network.ts';
import { parseRateLimit, type RateLimit } from './rate-limit.ts';
import { parseValue, readEnvironment, readFlags } from './read-settings.ts';
import {
  environmentName,
  flagName,
  type SettingName,
  type Settings,
  settingNames,
  settingSchema,
} from './settings.ts';

/** The service's configuration; durations in milliseconds, sizes in bytes. */
export interface Config
  extends Omit<
    Settings,
    | 'models'
    | 'precision'
    | 'draft'
    | 'apiKeys'
    | 'apiKeysFile'
    | 'urgentKeys'
    | 'rateLimit'
    | 'adminKeys'
    | 'cacheMemory'
    | 'memoryLimit'
    | 'responsesStore'
    | 'trustedProxies'
    | 'allowedHosts'
    | 'corsOrigins'
    | 'playgroundOrigins'
  > {
  /** Folders to look for models in, or models of the hub. */
  models: readonly string[];
  /** The first applies to models named without a precision. */
  precisions: readonly Precision[];
  /** By a model's name, the name of the model that drafts for it. */
  drafts: ReadonlyMap<string, string>;
  apiKeys: ApiKeys;
  /** Sentences about variables that are set but ignored. */
  warnings: readonly string[];
  /** Names of keys whose requests may be urgent; `*` stands for every client. */
  urgentKeys: ReadonlySet<string>;
  /** Names of keys that may load and unload models. */
  adminKeys: ReadonlySet<string>;
  /** Maximum bytes of the process; null: none. */
  memoryLimit: number | null;
  /** Not all models stay in memory. */
  loadsOnDemand: boolean;
  /** null: none. */
  rateLimit: RateLimit | null;
  /** Maximum bytes of one model's cache; null: not set. */
  cacheMemory: number | null;
  /** Maximum bytes of stored responses; null: none are stored. */
  responsesStore: number | null;
  /** In fastify's form; false: none. */
  trustedProxies: string[] | false;
  /** Names allowed in `Host` headers, next to addresses and `localhost`; null: all. */
  allowedHosts: readonly string[] | null;
  /** Origins of web pages that may call the service; `*`: all. null: none. */
  corsOrigins: readonly string[] | null;
  /** Origins of servers that the page at `/` may call; `*`: all. */
  playgroundOrigins: readonly string[];
}

/**
 * @param env the process's environment
 * @param argv the arguments after `altup serve`
 * @throws UsageError for an unknown, malformed or contradictory setting, by name
 */
export function loadConfig(env: Record<string, string | undefined>, argv: readonly string[]): Config {
  const environment = readEnvironment(env);
  const given = new Map([...environment.given, ...readFlags(argv)]);
  const values = Object.fromEntries(
    settingNames.flatMap((name) => {
      const schema = settingSchema(name);
      const found = given.get(name);
      const value = found ? parseValue(schema, found.source, found.text) : schema.default;
      return value === undefined ? [] : [[name, value]];
    }),
  ) as Settings;
  const {
    models,
    precision,
    draft,
    apiKeys,
    apiKeysFile,
    urgentKeys,
    rateLimit,
    cacheMemory,
    memoryLimit,
    adminKeys,
    responsesStore,
    trustedProxies,
    allowedHosts,
    corsOrigins,
    playgroundOrigins,
    ...rest
  } = values;
  const folders = models.split(',').map((folder) => folder.trim());
  if (folders.includes('')) throw new UsageError(`${given.get('models')?.source}: a folder's name is empty`);
  if (rest.otelEndpoint !== undefined && !/^https?:$/.test(URL.parse(rest.otelEndpoint)?.protocol ?? ''))
    throw new UsageError(
      `${given.get('otelEndpoint')?.source}: '${rest.otelEndpoint.slice(0, 100)}' is not valid; expected a URL such as http://localhost:4318`,
    );
  const keys = new ApiKeys(apiKeys, apiKeysFile);
  const sourceOf = (name: SettingName) => given.get(name)?.source ?? '';
  if (adminKeys !== undefined && keys.isOpen)
    throw new UsageError(
      `${sourceOf('adminKeys')}: names API keys, but none is set; set ALTUP_API_KEYS_FILE or ALTUP_API_KEYS`,
    );
  // A web page could make its own name resolve to this machine and then read answers as if from its own server.
  const defaultHosts = keys.isOpen && isLoopback(rest.host) ? [] : null;
  return {
    ...rest,
    threads: rest.threads === 0 ? availableThreads() : rest.threads,
    models: folders,
    warnings: environment.warnings,
    precisions: parsePrecisions(given.get('precision')?.source ?? '', precision),
    drafts: parseDrafts(given.get('draft')?.source ?? '', draft),
    apiKeys: keys,
    loadsOnDemand: memoryLimit !== undefined || rest.maxLoadedModels !== undefined,
    urgentKeys: namesIn(urgentKeys),
    adminKeys: namesIn(adminKeys),
    memoryLimit: memoryLimit === undefined ? null : parseBytes(sourceOf('memoryLimit'), memoryLimit),
    rateLimit: rateLimit === undefined ? null : parseRateLimit(sourceOf('rateLimit'), rateLimit),
    cacheMemory: cacheMemory === undefined ? null : parseBytes(sourceOf('cacheMemory'), cacheMemory),
    responsesStore:
      responsesStore === undefined ? null : parseBytes(sourceOf('responsesStore'), responsesStore),
    trustedProxies:
      trustedProxies !== undefined && parseTrustedProxies(sourceOf('trustedProxies'), trustedProxies),
    allowedHosts:
      allowedHosts === undefined ? defaultHosts : parseAllowedHosts(sourceOf('allowedHosts'), allowedHosts),
    corsOrigins: corsOrigins === undefined ? null : parseCorsOrigins(sourceOf('corsOrigins'), corsOrigins),
    playgroundOrigins:
      playgroundOrigins === undefined
        ? []
        : parseServerOrigins(sourceOf('playgroundOrigins'), playgroundOrigins),
  };
}

const namesIn = (list: string | undefined) => new Set(list?.split(',').map((name) => name.trim()));

/** The settings, as `altup serve --help` prints them. */
export function configHelp(): string {
  const lines = configRows().map((row) => {
    const names = row.flag === '' ? row.variable : `${row.flag}, ${row.variable}`;
    const fallback = row.default === '' ? '' : ` [${row.default}]`;
    return `  ${names}${fallback}\n      ${row.description.replaceAll('`', '')}`;
  });
  return `Settings, as flag or environment variable [default]; a flag overrides its variable:\n\n${lines.join('\n')}\n`;
}

/**
 * The precisions in a list separated by commas, in its order.
 * @param source the variable or flag the text comes from
 * @throws UsageError for an unknown or repeated precision
 */
function parsePrecisions(source: string, text: string): Precision[] {
  const found: Precision[] = [];
  for (const name of text.split(',').map((part) => part.trim())) {
    const precision = precisions.find((known) => known === name);
    const problem =
      precision === undefined ? 'is not valid' : found.includes(precision) ? 'is listed twice' : '';
    if (precision === undefined || problem !== '') {
      const expected = `${precisions.join(', ')}, or several of them separated by commas`;
      throw new UsageError(`${source}: '${name.slice(0, 100)}' ${problem}; expected ${expected}`);
    }
    found.push(precision);
  }
  return found;
}

/**
 * The pairs in a list such as `large=small,other=small:int4`.
 * @param source the variable or flag the text comes from
 * @throws UsageError for anything else, for a model with two drafts, and for one that drafts for itself
 */
function parseDrafts(source: string, text: string | undefined): Map<string, string> {
  const drafts = new Map<string, string>();
  for (const pair of text?.split(',') ?? []) {
    const [model, draft, more] = pair.split('=').map((name) => name.trim());
    const shown = `'${pair.trim().slice(0, 100)}'`;
    if (!model || !draft || more !== undefined)
      throw new UsageError(
        `${source}: ${shown} is not valid; expected <model>=<draft>, or several of them separated by commas`,
      );
    if (model === draft) throw new UsageError(`${source}: ${shown} lets a model draft for itself`);
    if (drafts.has(model)) throw new UsageError(`${source}: ${shown} is a second draft for ${model}`);
    drafts.set(model, draft);
  }
  return drafts;
}

const byteUnits: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/**
 * A number of bytes: `6GiB`, `1.5 GiB`, `1048576`.
 * @param source the variable or flag the text comes from
 * @throws UsageError for other texts, and for less than a MiB
 */
function parseBytes(source: string, text: string): number {
  const [, number, unit] = /^(\d{1,15}(?:\.\d{1,3})?) ?([KMGT]iB)?$/.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * (unit === undefined ? 1 : byteUnits[unit]!));
  if (bytes >= 2 ** 20 && Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(
    `${source}: '${text.slice(0, 100)}' is not valid; expected a size from 1MiB, such as 800MiB or 6GiB`,
  );
}

export interface ConfigRow {
  variable: string;
  /** Empty: not taken from the command line. */
  flag: string;
  /** Empty: none. */
  default: string;
  description: string;
}

/** The rows of the configuration table, one per setting. */
export function configRows(): ConfigRow[] {
  return settingNames.map((name) => {
    const schema = settingSchema(name);
    const values = schema.enum ? ` One of ${schema.enum.map((value) => `\`${value}\``).join(', ')}.` : '';
    return {
      variable: environmentName(name),
      flag: flagName(name) ?? '',
      default: schema.default === undefined ? '' : String(schema.default),
      description: `${schema.description}${values}`,
    };
  });
}
