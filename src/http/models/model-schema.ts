import Type from 'typebox';
import { modelStates } from '../../catalog/served-model.ts';

export const ModelSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('model'),
    created: Type.Integer({ description: 'When the service added the model, in seconds since the epoch.' }),
    owned_by: Type.String(),
    root: Type.String({
      description: 'The name of the model’s folder, which all its precisions share.',
    }),
    parent: Type.Null(),
    max_model_len: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description:
        'Maximum tokens of prompt and completion together; for an encoder-decoder model, of the prompt alone. Null: not loaded.',
    }),
    max_completion_tokens: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description: 'Maximum `max_tokens`. Null: not loaded.',
    }),
    state: Type.Unsafe<string>({
      type: 'string',
      enum: modelStates,
      description:
        '`unloaded`: the next request loads it. `unloading`: it leaves once its requests have ended, and further ones wait to load it again.',
    }),
    memory_bytes: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description:
        'Memory that it takes while it is loaded: its weights, and its keys and values at most. Null: not exported.',
    }),
    precision: Type.String(),
    variant: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description:
        '`dense`, or what the model has of these: AltUp with its number of sub-blocks, a method that saves encoder tokens, sparse experts. Example: `altup-k2-moe`.',
    }),
    has_chat_template: Type.Unsafe<boolean | null>({
      type: ['boolean', 'null'],
      description: 'Whether the model accepts `/v1/chat/completions`. Null: not loaded.',
    }),
  },
  {
    $id: 'Model',
    examples: [
      {
        id: 'austen-t5-altup-k2',
        object: 'model',
        created: 1_780_000_000,
        owned_by: 'altup-serve',
        root: 'austen-t5-altup-k2',
        parent: null,
        max_model_len: 512,
        max_completion_tokens: 512,
        state: 'ready',
        memory_bytes: 49_807_360,
        precision: 'fp32',
        variant: 'altup-k2',
        has_chat_template: false,
      },
    ],
  },
);

export type Model = Type.Static<typeof ModelSchema>;

export const ModelRef = Type.Unsafe<Model>({ $ref: 'Model#' });
export const ModelListSchema = Type.Object({ object: Type.Literal('list'), data: Type.Array(ModelRef) });
