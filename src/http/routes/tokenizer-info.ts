import { findModel, requireTokenizer } from '../find-model.ts';
import { errorResponses } from '../schemas/error.ts';
import { TokenizerInfoQuerySchema, TokenizerInfoSchema } from '../schemas/tokenizer-info.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';

const schema = {
  operationId: 'tokenizerInfo',
  tags: ['tokens'],
  summary: 'What a model’s tokenizer is',
  description: 'As vLLM gives it, and lm-evaluation-harness asks for it.',
  security: [{ apiKey: [] }],
  querystring: TokenizerInfoQuerySchema,
  response: { 200: TokenizerInfoSchema, ...errorResponses(400, 404, 500, 503) },
};

export function tokenizerInfoRoute(app: App, { models }: ServerDependencies): void {
  app.get('/tokenizer_info', { schema }, async ({ query }) => {
    const { tokenizerClass, specialTokens, chatTemplate } = requireTokenizer(findModel(models, query.model))
      .texts.info;
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
