import Type from 'typebox';
import { nullable } from './nullable.ts';

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
