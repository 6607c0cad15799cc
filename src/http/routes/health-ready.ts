import Type from 'typebox';
import type { ServedModel } from '../../catalog/served-model.ts';
import { retryAfter } from '../schemas/error.ts';
import type { ReadySchema } from '../schemas/health.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

type Ready = Type.Static<typeof ReadySchema>;

const schema = (operationId: string) => ({
  operationId,
  tags: ['operation'],
  summary: 'Whether requests should be sent here',
  description:
    'Yes when every model is ready or has failed, at least one is ready, and the service is not about to stop. ' +
    'With ALTUP_STRICT no model may have failed.',
  response: {
    200: Type.Unsafe<Ready>({ $ref: 'Health#', description: 'Ready.' }),
    503: Type.Unsafe<Ready>({
      $ref: 'Health#',
      description: 'Loading, failed or draining.',
      headers: retryAfter,
    }),
  },
});

/** A model that a reload has added counts from when it is ready: until then, nothing is served that was not before. */
function canServe(models: readonly ServedModel[], isStrict: boolean): boolean {
  const settled = isStrict ? ['ready'] : ['ready', 'failed'];
  const required = models.filter(({ isRequired }) => isRequired);
  return (
    required.every(({ state }) => settled.includes(state.state)) &&
    models.some(({ state }) => state.state === 'ready')
  );
}

/** `/health` is the same under the name other servers have it. */
export function healthReadyRoutes(
  app: App,
  { models, engine, isDraining, config }: ServerDependencies,
): void {
  for (const [url, id] of [
    ['/health/ready', 'ready'],
    ['/health', 'health'],
  ] as const) {
    app.get(url, { schema: schema(id) }, async (_request, reply) => {
      const isReady = canServe([...models.values()], config.strict);
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
