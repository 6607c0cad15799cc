import type { onRequestAsyncHookHandler } from 'fastify';
import Type from 'typebox';
import { ServiceError } from '../../errors.ts';
import { clientGone } from '../access.ts';
import { errorResponses } from '../errors/error-schema.ts';
import { findModel } from '../models/find-model.ts';
import { ModelRef } from '../models/model-schema.ts';
import { modelCard } from '../models/models-routes.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const ModelParams = Type.Object({ id: Type.String({ description: 'The model’s name.' }) });

const loadSchema = {
  operationId: 'loadModel',
  tags: ['admin'],
  summary: 'Load a model',
  description:
    'Answers when the model is ready. If the limits leave no room, another model is unloaded, as for a request. A model that failed is tried again.',
  params: ModelParams,
  response: { 200: ModelRef, ...errorResponses(400, 403, 404, 413, 415, 500, 503) },
};

const unloadSchema = {
  operationId: 'unloadModel',
  tags: ['admin'],
  summary: 'Unload a model',
  description:
    'Answers when the model is not in memory any more. Its requests end first; further ones wait or are refused with `not_ready`, and the next one loads it again.',
  params: ModelParams,
  response: { 200: ModelRef, ...errorResponses(400, 403, 404, 413, 415, 500, 503) },
};

const ReloadedSchema = Type.Object(
  {
    added: Type.Array(Type.String()),
    removed: Type.Array(Type.String()),
    retried: Type.Array(Type.String(), { description: 'Models that had failed and are tried again.' }),
    problem: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description: 'Why the models stay as they were, for now with 202. Null: the folders were read.',
    }),
  },
  { examples: [{ added: ['austen-t5-dense'], removed: [], retried: [], problem: null }] },
);

const reloadSchema = {
  operationId: 'reload',
  tags: ['admin'],
  summary: 'Read the folders of models and the API keys again',
  description:
    'The same as SIGHUP. Answers once the folders are read; models are exported, loaded and removed after that. Answers with 202 if models are being exported, downloaded or removed: the folders are read when that is done, and the log says what was in them.',
  response: { 200: ReloadedSchema, 202: ReloadedSchema, ...errorResponses(400, 403, 413, 415, 500, 503) },
};

/** Loads, unloads and reloads, for the API keys that the operator has named. */
export function adminRoutes(app: App, { models, keeper, config }: ServerDependencies): void {
  const onRequest: onRequestAsyncHookHandler = async ({ life }) => {
    if (life.keyName !== null && config.adminKeys.has(life.keyName)) return;
    const message =
      config.adminKeys.size === 0
        ? 'Nobody may use this route: ALTUP_ADMIN_KEYS names no API key.'
        : 'This API key is not among those that ALTUP_ADMIN_KEYS names.';
    throw new ServiceError('forbidden', message);
  };
  app.post('/admin/models/:id/load', { schema: loadSchema, onRequest }, async (request, reply) => {
    const model = findModel(models, request.params.id);
    const gone = clientGone(reply.raw);
    try {
      await keeper.load(model, { client: request.life.client, signal: gone });
      return modelCard(model);
    } catch (error) {
      if (!gone.aborted) throw error;
      // Nobody is left to answer.
      return reply.hijack() as never;
    }
  });
  app.post('/admin/models/:id/unload', { schema: unloadSchema, onRequest }, async (request) => {
    const model = findModel(models, request.params.id);
    await keeper.unload(model);
    return modelCard(model);
  });
  app.post('/admin/models/reload', { schema: reloadSchema, onRequest }, async (_, reply) => {
    const reloaded = await keeper.reload();
    if (reloaded !== null) return reloaded;
    const problem = 'Models are being exported, downloaded or removed; the folders are read after that.';
    return reply.code(202).send({ added: [], removed: [], retried: [], problem });
  });
}
