import Type from 'typebox';
import { memoryOf, type ServedModel } from '../../catalog/served-model.ts';
import { modelVariant } from '../../observability/model-variant.ts';
import { errorResponses } from '../errors/error-schema.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { findModel, maxModelLength } from './find-model.ts';
import { type Model, ModelListSchema, ModelRef } from './model-schema.ts';

const listModelsSchema = {
  operationId: 'listModels',
  tags: ['models'],
  summary: 'List the models',
  description: 'The list includes models that are not loaded, with their state and the memory they need.',
  response: { 200: ModelListSchema, ...errorResponses(500) },
};

export function listModelsRoute(app: App, { models }: ServerDependencies): void {
  app.get('/v1/models', { schema: listModelsSchema }, async () => ({
    object: 'list' as const,
    data: [...models.values()].map(modelCard),
  }));
}

/** A model as /v1/models shows it. */
export function modelCard(model: ServedModel): Model {
  return {
    id: model.name,
    object: 'model',
    created: model.created,
    owned_by: 'altup-serve',
    root: model.id,
    parent: null,
    max_model_len: maxModelLength(model),
    max_completion_tokens: model.state.state === 'ready' ? model.state.capacity : null,
    state: model.state.state,
    memory_bytes: memoryOf(model),
    precision: model.precision,
    variant: model.manifest ? modelVariant(model.manifest) : null,
    has_chat_template: model.texts ? model.texts.render !== null : null,
  };
}

const getModelSchema = {
  operationId: 'getModel',
  tags: ['models'],
  summary: 'Describe a model',
  params: Type.Object({ id: Type.String({ description: 'The model’s name.' }) }),
  response: { 200: ModelRef, ...errorResponses(404, 500) },
};

export function getModelRoute(app: App, { models }: ServerDependencies): void {
  app.get('/v1/models/:id', { schema: getModelSchema }, async (request): Promise<Model> => {
    return modelCard(findModel(models, request.params.id));
  });
}
