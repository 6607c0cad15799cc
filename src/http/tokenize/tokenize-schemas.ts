import Type from 'typebox';
import { nullable, optional, optionalBoolean } from '../schema-field.ts';

export const TokenizerInfoQuerySchema = Type.Object(
  {
    model: Type.Optional(
      Type.String({
        description: 'The model whose tokenizer to describe. Optional if only one model is served.',
      }),
    ),
  },
  { additionalProperties: false },
);

const token = (role: string) => nullable(Type.String({ description: `The token that ${role}, as text.` }));

export const TokenizerInfoSchema = Type.Object(
  {
    tokenizer_class: nullable(
      Type.String({ description: 'The name of the class in Hugging Face’s libraries.' }),
    ),
    bos_token: token('begins a text'),
    eos_token: token('ends a text'),
    pad_token: token('pads a text'),
    unk_token: token('stands for text without a token'),
    chat_template: nullable(
      Type.String({ description: 'A Jinja template; null: the model does not accept chats.' }),
    ),
  },
  {
    examples: [
      {
        tokenizer_class: 'GemmaTokenizer',
        bos_token: '<bos>',
        eos_token: '<eos>',
        pad_token: '<pad>',
        unk_token: '<unk>',
        chat_template: '{{ bos_token }}{% for message in messages %}…{% endfor %}',
      },
    ],
  },
);

const model = optional<string>('string', {
  description: 'The model whose tokenizer to use. Optional if only one model is served.',
});

export const TokenizeRequestSchema = Type.Object(
  {
    model,
    prompt: Type.String({ description: 'The text.' }),
    add_special_tokens: optionalBoolean({
      default: true,
      description: 'Add the special tokens that a completion’s prompt gets.',
    }),
    return_token_strs: optionalBoolean({ default: false, description: 'Also return each token as text.' }),
  },
  { additionalProperties: false, examples: [{ prompt: 'It is a truth', return_token_strs: true }] },
);

export const TokenizeResponseSchema = Type.Object(
  {
    count: Type.Integer(),
    max_model_len: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description: 'Maximum tokens of a prompt; null: the model is not loaded.',
    }),
    tokens: Type.Array(Type.Integer()),
    token_strs: Type.Unsafe<string[] | null>({ type: ['array', 'null'], items: { type: 'string' } }),
  },
  { examples: [{ count: 3, max_model_len: 512, tokens: [94, 19, 1], token_strs: ['It', ' is', '</s>'] }] },
);

export const DetokenizeRequestSchema = Type.Object(
  { model, tokens: Type.Array(Type.Integer({ minimum: 0 }), { description: 'Token ids.' }) },
  { additionalProperties: false, examples: [{ tokens: [94, 19] }] },
);

export const DetokenizeResponseSchema = Type.Object(
  { prompt: Type.String() },
  { examples: [{ prompt: 'It is' }] },
);
