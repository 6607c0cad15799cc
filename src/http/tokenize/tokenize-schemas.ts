import Type from 'typebox';
import { nullable, optional, optionalBoolean } from '../schema-field.ts';

export const TokenizerInfoQuerySchema = Type.Object(
  {
    model: Type.Optional(
      Type.String({ description: 'Whose tokenizer. May be left out where only one model is served.' }),
    ),
  },
  { additionalProperties: false },
);

const token = (role: string) =>
  nullable(Type.String({ description: `The token that ${role}, as it is written.` }));

export const TokenizerInfoSchema = Type.Object(
  {
    tokenizer_class: nullable(Type.String({ description: 'As Hugging Face’s libraries call it.' })),
    bos_token: token('begins a text'),
    eos_token: token('ends one'),
    pad_token: token('fills up'),
    unk_token: token('stands for what has none'),
    chat_template: nullable(Type.String({ description: 'Jinja; null: the model takes no chats.' })),
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
  description: 'Whose tokenizer to use. May be left out where only one model is served.',
});

export const TokenizeRequestSchema = Type.Object(
  {
    model,
    prompt: Type.String({ description: 'The text.' }),
    add_special_tokens: optionalBoolean({
      default: true,
      description: 'Add those a completion would be given.',
    }),
    return_token_strs: optionalBoolean({ default: false, description: 'Also give each token as text.' }),
  },
  { additionalProperties: false, examples: [{ prompt: 'It is a truth', return_token_strs: true }] },
);

export const TokenizeResponseSchema = Type.Object(
  {
    count: Type.Integer(),
    max_model_len: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description: 'Most tokens a prompt may have; null: the model is not loaded.',
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
