import { clientGone } from '../client-gone.ts';
import { findModel, maxModelLength, requireTokenizer } from '../find-model.ts';
import { errorResponses } from '../schemas/error.ts';
import { TokenizeRequestSchema, TokenizeResponseSchema } from '../schemas/tokenize.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import { textOwner } from '../text-owner.ts';

const schema = {
  operationId: 'tokenize',
  tags: ['tokens'],
  summary: 'Turn text into tokens',
  security: [{ apiKey: [] }],
  body: TokenizeRequestSchema,
  response: { 200: TokenizeResponseSchema, ...errorResponses(404, 413, 415, 500, 503, 504) },
};

export function tokenizeRoute(app: App, dependencies: ServerDependencies): void {
  app.post('/tokenize', { schema }, async (request, reply) => {
    const { body } = request;
    const model = findModel(dependencies.models, body.model);
    const { texts } = requireTokenizer(model);
    const gone = clientGone(reply.raw);
    try {
      const { count, fields } = await texts.tokenize(
        {
          text: body.prompt,
          addSpecialTokens: body.add_special_tokens ?? true,
          givesStrings: body.return_token_strs ?? false,
        },
        textOwner(request, model.name, gone, dependencies),
      );
      const head = `{"count":${count},"max_model_len":${JSON.stringify(maxModelLength(model))},`;
      // Written where the text was tokenized: it may be many megabytes.
      reply.type('application/json; charset=utf-8');
      return reply.send(Buffer.concat([Buffer.from(head), fields, Buffer.from('}')]) as never);
    } catch (error) {
      if (!gone.aborted) throw error;
      // There is nobody left to answer.
      return reply.hijack() as never;
    }
  });
}
