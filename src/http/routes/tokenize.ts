import { findModel, maxModelLength, requireTokenizer } from '../find-model.ts';
import { tokenText } from '../generation/token-text.ts';
import { mapInTurns } from '../map-in-turns.ts';
import { errorResponses } from '../schemas/error.ts';
import { TokenizeRequestSchema, TokenizeResponseSchema } from '../schemas/tokenize.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
  operationId: 'tokenize',
  tags: ['tokens'],
  summary: 'Turn text into tokens',
  security: [{ apiKey: [] }],
  body: TokenizeRequestSchema,
  response: { 200: TokenizeResponseSchema, ...errorResponses(404, 413, 415, 500, 503) },
};

export function tokenizeRoute(app: App, { models }: ServerDependencies): void {
  app.post('/tokenize', { schema }, async ({ body }) => {
    const model = findModel(models, body.model);
    const { tokenizer, encode } = requireTokenizer(model);
    const tokens = await encode(body.prompt, body.add_special_tokens ?? true);
    return {
      count: tokens.length,
      max_model_len: maxModelLength(model),
      tokens: [...tokens],
      token_strs: body.return_token_strs
        ? await mapInTurns(tokens, (id) => tokenText(tokenizer.tokenBytes(id)))
        : null,
    };
  });
}
