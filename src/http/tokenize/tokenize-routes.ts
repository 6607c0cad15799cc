import { clientGone, textOwner } from '../access.ts';
import { errorResponses } from '../errors/error-schema.ts';
import { checkTokenIds } from '../generation/read-prompt.ts';
import { findModel, maxModelLength, requireRead } from '../models/find-model.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import {
  DetokenizeRequestSchema,
  DetokenizeResponseSchema,
  TokenizeRequestSchema,
  TokenizeResponseSchema,
  TokenizerInfoQuerySchema,
  TokenizerInfoSchema,
} from './tokenize-schemas.ts';

const tokenizeSchema = {
  operationId: 'tokenize',
  tags: ['tokens'],
  summary: 'Turn text into tokens',
  body: TokenizeRequestSchema,
  response: { 200: TokenizeResponseSchema, ...errorResponses(404, 413, 415, 500, 503, 504) },
};

export function tokenizeRoute(app: App, dependencies: ServerDependencies): void {
  app.post('/tokenize', { schema: tokenizeSchema }, async (request, reply) => {
    const { body } = request;
    const model = findModel(dependencies.models, body.model);
    const { texts } = requireRead(model);
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
      // `fields` is JSON from where the text was tokenized: it may be many megabytes.
      reply.type('application/json; charset=utf-8');
      return reply.send(Buffer.concat([Buffer.from(head), fields, Buffer.from('}')]) as never);
    } catch (error) {
      if (!gone.aborted) throw error;
      // Nobody is left to answer.
      return reply.hijack() as never;
    }
  });
}

const detokenizeSchema = {
  operationId: 'detokenize',
  tags: ['tokens'],
  summary: 'Turn tokens into text',
  body: DetokenizeRequestSchema,
  response: { 200: DetokenizeResponseSchema, ...errorResponses(404, 413, 415, 500, 503) },
};

export function detokenizeRoute(app: App, { models }: ServerDependencies): void {
  app.post('/detokenize', { schema: detokenizeSchema }, async ({ body }) => {
    const model = findModel(models, body.model);
    const { vocabulary } = requireRead(model);
    checkTokenIds('tokens', body.tokens, vocabulary.vocabSize);
    return { prompt: vocabulary.decode(body.tokens) };
  });
}

const tokenizerInfoSchema = {
  operationId: 'tokenizerInfo',
  tags: ['tokens'],
  summary: 'Describe a model’s tokenizer',
  description: 'In vLLM’s format, which lm-evaluation-harness reads.',
  querystring: TokenizerInfoQuerySchema,
  response: { 200: TokenizerInfoSchema, ...errorResponses(400, 404, 500, 503) },
};

export function tokenizerInfoRoute(app: App, { models }: ServerDependencies): void {
  app.get('/tokenizer_info', { schema: tokenizerInfoSchema }, async ({ query }) => {
    const { tokenizerClass, specialTokens, chatTemplate } = requireRead(findModel(models, query.model)).texts
      .info;
    return {
      tokenizer_class: tokenizerClass,
      bos_token: specialTokens.bos_token ?? null,
      eos_token: specialTokens.eos_token ?? null,
      pad_token: specialTokens.pad_token ?? null,
      unk_token: specialTokens.unk_token ?? null,
      chat_template: chatTemplate,
    };
  });
}
