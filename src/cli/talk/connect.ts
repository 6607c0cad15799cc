import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import packageJson from '../../../package.json' with { type: 'json' };
import { loadConfig } from '../../config/config.ts';
import { ConfigurationError } from '../../errors.ts';
import { createLogger } from '../../observability/logger.ts';
import { Service } from '../../service/app.ts';
import { type ListedModel, listModels, type Server } from './server.ts';

type Environment = NodeJS.ProcessEnv;

/** A model to talk to. */
export interface Connection {
  server: Server;
  model: string;
  /** Maximum tokens of a chat and its answer; null: the server does not say. */
  contextTokens: number | null;
  /** Ends the service if it was started for this connection. */
  close(): Promise<void>;
}

export interface Wanted {
  /** Without /v1; undefined: the service on this machine, or one that is started. */
  url: string | undefined;
  /** A name, or a folder or a model of the hub to serve; undefined: the first one that fits. */
  model: string | undefined;
  apiKey: string | undefined;
  /** The model needs a chat template. */
  isChat: boolean;
}

/** Interval between two looks at a model that is loading. */
const lookEveryMs = 200;
/** Wait for a model after which a person wants to know why. */
const patienceMs = 2000;

/**
 * Finds a running service, or starts one on a free port.
 * @param note receives sentences about what takes long
 * @throws ConfigurationError if there is no such service or model
 */
export async function connect(
  wanted: Wanted,
  env: Environment,
  note: (text: string) => void,
): Promise<Connection> {
  const apiKey = wanted.apiKey ?? env.ALTUP_API_KEY ?? null;
  const url = wanted.url ?? `http://127.0.0.1:${env.ALTUP_PORT ?? 8080}`;
  const isPlace = wanted.model?.includes('/') ?? false;
  // A folder or a model of the hub is served here, whatever else runs.
  if (wanted.url !== undefined || !isPlace) {
    const server = { url, apiKey };
    if ((await listModels(server)) !== null) {
      return { server, ...(await waitForModel(server, wanted, note)), close: async () => {} };
    }
    if (wanted.url !== undefined)
      throw new ConfigurationError(`--url: no server of this API answers at ${url}`);
  }
  const why = isPlace ? '' : `No service runs at ${url}. `;
  note(`${why}Starting one for this command.`);
  const own = await startService(wanted.model, env, note);
  try {
    const model = isPlace ? undefined : wanted.model;
    return { ...own, ...(await waitForModel(own.server, { ...wanted, model }, note, own.check)) };
  } catch (error) {
    await own.close();
    throw error;
  }
}

/** Settings of a service for others, which would be in the way of one's own. */
const notForOwn = /^ALTUP_(API_KEY|API_KEYS|API_KEYS_FILE|RATE_LIMIT|ALLOWED_HOSTS|HOST|PORT|LOG_LEVEL)$/;

/** Starts a service in this process. @param model serves only this one if its folder is known */
async function startService(model: string | undefined, env: Environment, note: (text: string) => void) {
  const settings = Object.fromEntries(Object.entries(env).filter(([name]) => !notForOwn.test(name)));
  // One person talks with one model at a time, and should not wait while the others load.
  const alone = ['--port', '0', '--max-loaded-models', '1'];
  const config = loadConfig(settings, [...alone, ...onlyModel(model, env)]);
  const listening = Promise.withResolvers<string>();
  const service = new Service(
    config,
    createLogger('info', {
      write: (line) => {
        const { msg, ...record } = JSON.parse(line);
        if (msg === 'listening') listening.resolve(record.url);
        if (msg === 'exporting' || msg === 'downloading') note(`${msg} ${record.model}: ${record.percent} %`);
        if (msg === 'model failed') note(`${record.model} failed: ${record.reason}`);
      },
    }),
    packageJson.version,
  );
  let failure: unknown = null;
  const started = service.start().catch((error) => {
    failure = error;
    listening.reject(error);
  });
  const close = async () => {
    await service.abandon();
    await started;
  };
  try {
    return {
      server: { url: await listening.promise, apiKey: null },
      close,
      /** @throws what made the start fail */
      check: () => {
        if (failure !== null) throw failure;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The flags that serve one model alone, so that the others need not load. */
function onlyModel(model: string | undefined, { ALTUP_MODELS = 'models' }: Environment): string[] {
  if (model === undefined) return [];
  if (model.includes('/')) return ['--models', model];
  const [id = '', precision] = model.split(':');
  const folder = ALTUP_MODELS.split(',')
    .map((path) => join(path.trim(), id))
    .find((path) => existsSync(path));
  return [
    ...(folder === undefined ? [] : ['--models', folder]),
    ...(precision === undefined ? [] : ['--precision', precision]),
  ];
}

/** Waits while models load. @returns the wanted one @throws ConfigurationError */
async function waitForModel(
  server: Server,
  wanted: Pick<Wanted, 'model' | 'isChat'>,
  note: (text: string) => void,
  check = () => {},
): Promise<Pick<Connection, 'model' | 'contextTokens'>> {
  for (let looks = 0; ; looks += 1) {
    check();
    const chosen = chooseModel((await listModels(server)) ?? [], wanted);
    if (chosen !== null) {
      const { id, max_model_len: contextTokens = null } = chosen;
      return { model: wanted.model ?? id, contextTokens };
    }
    if (looks * lookEveryMs === patienceMs) note('The model is still loading.');
    await setTimeout(lookEveryMs);
  }
}

/** @returns null while the wanted model may still be loading @throws ConfigurationError */
function chooseModel(
  models: readonly ListedModel[],
  { model, isChat }: Pick<Wanted, 'model' | 'isChat'>,
): ListedModel | null {
  const candidates = models.filter(({ id }) => model === undefined || isNamed(id, model));
  // A request loads a model that is not in memory.
  const isReady = ({ state = 'ready' }: ListedModel) => ['ready', 'unloaded', 'unloading'].includes(state);
  const canChat = (each: ListedModel) => each.has_chat_template !== false;
  const isLoaded = ({ state = 'ready' }: ListedModel) => state === 'ready';
  const fitting = (among: readonly ListedModel[]) =>
    among
      .filter((each) => isReady(each) && (!isChat || canChat(each)))
      .sort((a, b) => Number(isLoaded(b)) - Number(isLoaded(a)));
  const [found] = fitting(candidates);
  if (found !== undefined) return found;
  if (candidates.some(({ state }) => state === 'loading' || state === 'restarting')) return null;
  const served = models.map(({ id }) => id).join(', ') || 'none';
  if (candidates.length === 0)
    throw new ConfigurationError(`no model is named '${model}'; served: ${served}`);
  if (!candidates.some(isReady))
    throw new ConfigurationError(`no such model could be loaded; the server’s log says why`);
  const others = fitting(models).map(({ id }) => id);
  const instead = others.length > 0 ? `choose ${others.join(' or ')}, or use` : 'use';
  throw new ConfigurationError(
    `${model ?? 'no model'} has ${model ? 'no' : 'a'} chat template; ${instead} altup complete`,
  );
}

/** Whether a model is meant by a name, which may name its default precision. */
const isNamed = (id: string, name: string) => id === name || (!id.includes(':') && name.startsWith(`${id}:`));
