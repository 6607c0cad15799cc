import { modelCard } from '../model-card.ts';
import { errorResponses } from '../schemas/error.ts';
import { ModelListSchema } from '../schemas/model.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
  operationId: 'listModels',
  tags: ['models'],
  summary: 'List the models',
  description: 'Those still loading and those that failed to load are listed too, with their state.',
  security: [{ apiKey: [] }],
  response: { 200: ModelListSchema, ...errorResponses(500) },
};

export function listModelsRoute(app: App, { models }: ServerDependencies): void {
  app.get('/v1/models', { schema }, async () => ({
    object: 'list' as const,
    data: [...models.values()].map(modelCard),
  }));
}
