import Type from 'typebox';
import { withoutEffectInCompletions } from '../generation/fields-without-effect.ts';
import { generationFields } from '../generation/generation-fields.ts';
import { type Prompt, promptForms } from '../generation/read-prompt.ts';
import { optional, optionalBoolean, optionalInteger } from '../schema-field.ts';

const fields = {
  prompt: Type.Unsafe<Prompt>({
    ...promptForms,
    description:
      'A text, several texts, token ids, or several lists of token ids. Token ids are used unchanged.',
  }),
  completion_prefix: optional<Prompt>(undefined, {
    ...promptForms,
    anyOf: [...promptForms.anyOf, { type: 'null' }],
    description:
      'Only for encoder-decoder models: the beginning of every completion, which the decoder continues; or a list with one beginning for each prompt. With `echo`, the answer contains it.',
  }),
  max_tokens: optionalInteger({
    minimum: 0,
    default: 16,
    description:
      'Maximum tokens to generate. The service refuses more than the model has room for. The default is 16, or the remaining room if that is less.',
  }),
  best_of: optionalInteger({
    minimum: 1,
    maximum: 20,
    description:
      'Generate this many choices for each prompt and return the `n` with the highest mean log probability. At least `n`; with `stream`, equal to `n`.',
  }),
  logprobs: optionalInteger({
    minimum: 0,
    maximum: 5,
    description: 'Return the log probability of each token and of this many most likely tokens.',
  }),
  prompt_logprobs: optionalInteger({
    minimum: 0,
    maximum: 20,
    description:
      'The same for the prompt’s tokens, in a separate field. Only for decoder-only models; not with `stream`.',
  }),
  echo: optionalBoolean({
    default: false,
    description:
      'Begin the text with the decoder’s input: the prompt, or the `completion_prefix`. With `logprobs`, also return the log probabilities of its tokens.',
  }),
  add_special_tokens: optionalBoolean({
    default: true,
    description: 'Add the tokenizer’s special tokens to a text. Token ids are used unchanged.',
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
