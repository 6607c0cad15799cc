import Type from 'typebox';
import { withoutEffect } from '../generation/fields-without-effect.ts';
import { type Prompt, promptForms } from '../generation/read-prompt.ts';
import { optional, optionalInteger } from '../schema-field.ts';

export type EncodingFormat = 'float' | 'base64';

export const EmbeddingsRequestSchema = Type.Object(
  {
    model: optional<string>('string', {
      description:
        'The model to use, by its name in /v1/models; it must have an encoder. Optional if only one model is served.',
    }),
    input: Type.Unsafe<Prompt>({
      ...promptForms,
      description:
        'A text, several texts, token ids, or several lists of token ids. A text gets the tokenizer’s special tokens; token ids are used unchanged.',
    }),
    encoding_format: Type.Optional(
      Type.Unsafe<EncodingFormat | null>({
        enum: ['float', 'base64', null],
        default: 'float',
        description: '`base64`: the numbers as float32, little-endian, in base64.',
      }),
    ),
    dimensions: optionalInteger({
      minimum: 1,
      description:
        'Only the number that the model’s embeddings have, which is the default: no model can shorten them.',
    }),
    user: withoutEffect.user,
  },
  {
    additionalProperties: false,
    examples: [{ model: 'austen-t5-altup-k2', input: ['A proud man.', 'It is a truth'] }],
  },
);

export type EmbeddingsRequest = Type.Static<typeof EmbeddingsRequestSchema>;

const EmbeddingSchema = Type.Object({
  object: Type.Literal('embedding'),
  index: Type.Integer({ description: 'The place of its text in `input`.' }),
  embedding: Type.Union([Type.Array(Type.Number()), Type.String()], {
    description:
      'The mean of the encoder’s final states, not normalised, in the requested `encoding_format`.',
  }),
});

export const EmbeddingsSchema = Type.Object(
  {
    object: Type.Literal('list'),
    data: Type.Array(EmbeddingSchema),
    model: Type.String(),
    usage: Type.Object({
      prompt_tokens: Type.Integer({ description: 'Tokens of all inputs.' }),
      total_tokens: Type.Integer({ description: 'The same.' }),
    }),
  },
  {
    examples: [
      {
        object: 'list',
        data: [{ object: 'embedding', index: 0, embedding: [0.0413, -0.2271, 0.1094] }],
        model: 'austen-t5-altup-k2',
        usage: { prompt_tokens: 5, total_tokens: 5 },
      },
    ],
  },
);
