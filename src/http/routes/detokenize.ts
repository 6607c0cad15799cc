import { findModel, requireTokenizer } from '../find-model.ts';
import { checkTokenIds } from '../generation/vocabulary.ts';
import { errorResponses } from '../schemas/error.ts';
import { DetokenizeRequestSchema, DetokenizeResponseSchema } from '../schemas/tokenize.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
  operationId: 'detokenize',
  tags: ['tokens'],
  summary: 'Turn tokens into text',
  security: [{ apiKey: [] }],
  body: DetokenizeRequestSchema,
  response: { 200: DetokenizeResponseSchema, ...errorResponses(404, 413, 415, 500, 503) },
};

export function detokenizeRoute(app: App, { models }: ServerDependencies): void {
  app.post('/detokenize', { schema }, async ({ body }) => {
    const model = findModel(models, body.model);
    const { vocabulary } = requireTokenizer(model);
    checkTokenIds('tokens', body.tokens, vocabulary.vocabSize);
    return { prompt: vocabulary.decode(body.tokens) };
  });
}
