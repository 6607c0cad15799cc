import Type from 'typebox';
import { withoutEffectInCompletions } from '../generation/fields-without-effect.ts';
import { generationFields, nonEmptyText, tokenId } from '../generation/generation-fields.ts';
import { optional, optionalBoolean, optionalInteger } from '../schema-field.ts';

const tokenIds = { type: 'array', items: tokenId, minItems: 1 };

export type SinglePrompt = string | number[];
export type Prompt = SinglePrompt | string[] | number[][];

const texts = {
  anyOf: [
    nonEmptyText,
    { type: 'array', items: nonEmptyText, minItems: 1 },
    tokenIds,
    { type: 'array', items: tokenIds, minItems: 1 },
  ],
  'x-expects':
    'a non-empty string, a list of non-empty strings, a list of token ids, or a list of non-empty lists of token ids',
};

const fields = {
  prompt: Type.Unsafe<Prompt>({
    ...texts,
    description:
      'A text, several texts, token ids, or several lists of token ids. Token ids are taken as they are.',
  }),
  completion_prefix: optional<Prompt>(undefined, {
    ...texts,
    anyOf: [...texts.anyOf, { type: 'null' }],
    description:
      'Encoder-decoder models: what every completion begins with, which the decoder goes on from; or a list with one for each prompt. The answer has it with `echo`.',
  }),
  max_tokens: optionalInteger({
    minimum: 0,
    default: 16,
    description:
      'Most tokens to generate. More than the model has room for is refused; left out, it is 16 or the room there is.',
  }),
  best_of: optionalInteger({
    minimum: 1,
    maximum: 20,
    description:
      'Make this many choices for each prompt and give the `n` whose tokens are most likely on average. At least `n`, and no more than it with `stream`.',
  }),
  logprobs: optionalInteger({
    minimum: 0,
    maximum: 5,
    description: 'Report each token’s logarithmic probability and those of this many most likely ones.',
  }),
  prompt_logprobs: optionalInteger({
    minimum: 0,
    maximum: 20,
    description: 'The same for the prompt’s tokens, apart. Decoder-only models; not with `stream`.',
  }),
  echo: optionalBoolean({
    default: false,
    description:
      'Begin the text with what the decoder was given: the prompt, or the `completion_prefix`. With `logprobs`, its tokens’ are reported too.',
  }),
  add_special_tokens: optionalBoolean({
    default: true,
    description: 'Give a text the special tokens the tokenizer adds; token ids are taken as they are.',
  }),
};

export const CompletionRequestSchema = Type.Object(
  { ...fields, ...generationFields, ...withoutEffectInCompletions },
  {
    additionalProperties: false,
    examples: [
      { model: 'austen-t5-altup-k2', prompt: 'It is a truth universally', max_tokens: 32, temperature: 0.7 },
    ],
  },
);

export type CompletionRequest = Type.Static<typeof CompletionRequestSchema>;
