import Type from 'typebox';
import { findModel } from '../find-model.ts';
import { modelCard } from '../model-card.ts';
import { errorResponses } from '../schemas/error.ts';
import { type Model, ModelRef } from '../schemas/model.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
  operationId: 'getModel',
  tags: ['models'],
  summary: 'Describe a model',
  security: [{ apiKey: [] }],
  params: Type.Object({ id: Type.String({ description: 'The model’s name.' }) }),
  response: { 200: ModelRef, ...errorResponses(404, 500) },
};

export function getModelRoute(app: App, { models }: ServerDependencies): void {
  app.get('/v1/models/:id', { schema }, async (request): Promise<Model> => {
    return modelCard(findModel(models, request.params.id));
  });
}
