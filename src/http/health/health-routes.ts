import Type from 'typebox';
import type { ModelState, ServedModel } from '../../catalog/served-model.ts';
import { retryAfter } from '../errors/error-schema.ts';
import type { App, ServerConfig, ServerDependencies } from '../server-dependencies.ts';
import { LiveSchema, type ReadySchema, VersionSchema } from './health-schemas.ts';

const liveSchema = {
  operationId: 'live',
  tags: ['operation'],
  summary: 'Whether the process answers',
  description:
    'Answers 200 also while models load and while the service drains, because a restart would not help then.',
  response: { 200: LiveSchema },
};

export function healthLiveRoute(app: App): void {
  app.get('/health/live', { schema: liveSchema }, async () => ({ status: 'live' as const }));
}

type Ready = Type.Static<typeof ReadySchema>;

const readySchema = (operationId: string) => ({
  operationId,
  tags: ['operation'],
  summary: 'Whether the service is ready for requests',
  description:
    'Ready when no model is missing that was loaded at start, at least one takes requests, and the service is not about ' +
    'to stop. Models may have failed, except with ALTUP_STRICT. Models that are loaded on demand may be unloaded or loading.',
  response: {
    200: Type.Unsafe<Ready>({ $ref: 'Health#', description: 'Ready.' }),
    503: Type.Unsafe<Ready>({
      $ref: 'Health#',
      description: 'Loading, failed or draining.',
      headers: retryAfter,
    }),
  },
});

/** A model that a reload adds counts only once it is ready: until then, the service serves the same as before. */
function canServe(
  models: readonly ServedModel[],
  { strict, loadsOnDemand }: Pick<ServerConfig, 'strict' | 'loadsOnDemand'>,
): boolean {
  const isOneOf = (...states: ModelState['state'][]) => {
    return ({ state }: ServedModel) => states.includes(state.state);
  };
  const required = models.filter(({ isRequired }) => isRequired);
  const isSettled = strict ? isOneOf('ready', 'unloading') : isOneOf('ready', 'unloading', 'failed');
  const takesRequests = loadsOnDemand
    ? isOneOf('ready', 'unloaded', 'loading', 'unloading')
    : isOneOf('ready');
  return required.every(isSettled) && models.some(takesRequests);
}

/** `/health` is the same, under the name that other servers use. */
export function healthReadyRoutes(
  app: App,
  { models, engine, isDraining, config }: ServerDependencies,
): void {
  for (const [url, id] of [
    ['/health/ready', 'ready'],
    ['/health', 'health'],
  ] as const) {
    app.get(url, { schema: readySchema(id) }, async (_request, reply) => {
      const isReady = canServe([...models.values()], config);
      const status = isDraining()
        ? ('draining' as const)
        : isReady
          ? ('ready' as const)
          : ('not_ready' as const);
      if (status !== 'ready') reply.code(503).header('retry-after', 1);
      const { waiting, running } = engine.load();
      const states = [...models.values()].map(({ name, state }) => ({
        id: name,
        state: state.state,
        message: state.state === 'failed' ? state.message : null,
      }));
      return reply.send({ status, models: states, load: { waiting, running } });
    });
  }
}

const versionSchema = {
  operationId: 'version',
  tags: ['operation'],
  summary: 'The running version',
  response: { 200: VersionSchema },
};

export function versionRoute(app: App, { version }: ServerDependencies): void {
  app.get('/version', { schema: versionSchema }, async () => ({ version }));
}
