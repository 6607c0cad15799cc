import Type from 'typebox';
import { optional, optionalBoolean, optionalInteger, optionalNumber } from './field.ts';
import { unsupportedFields } from './unsupported-fields.ts';

const tokenId = { type: 'integer', minimum: 0 };
const tokenIds = { type: 'array', items: tokenId, minItems: 1 };
const text = { type: 'string', minLength: 1 };

export type Prompt = string | string[] | number[] | number[][];

interface StreamOptions {
  include_usage?: boolean | null;
  continuous_usage_stats?: boolean | null;
  include_obfuscation?: boolean | null;
}

const fields = {
  model: Type.Optional(
    Type.String({
      description: 'The model to use, as /v1/models names it. May be left out where only one is served.',
    }),
  ),
  prompt: Type.Unsafe<Prompt>({
    anyOf: [
      text,
      { type: 'array', items: text, minItems: 1 },
      tokenIds,
      { type: 'array', items: tokenIds, minItems: 1 },
    ],
    description:
      'A text, several texts, token ids, or several lists of token ids. Token ids are taken as they are.',
    'x-expects':
      'a non-empty string, a list of non-empty strings, a list of token ids, or a list of non-empty lists of token ids',
  }),
  max_tokens: optionalInteger({
    minimum: 1,
    default: 16,
    description:
      'Most tokens to generate. More than the model has room for is refused; left out, it is 16 or the room there is.',
  }),
  n: optionalInteger({ minimum: 1, maximum: 128, default: 1, description: 'Choices for each prompt.' }),
  temperature: optionalNumber({
    minimum: 0,
    maximum: 2,
    default: 1,
    description: '0 takes the most likely token.',
  }),
  top_p: optionalNumber({
    minimum: 0,
    maximum: 1,
    default: 1,
    description:
      'Sample from the fewest tokens whose probabilities add up to this; 0 leaves the most likely one.',
  }),
  top_k: optionalInteger({
    minimum: -1,
    default: 0,
    description: 'Sample from this many tokens; 0 or -1: all.',
  }),
  min_p: optionalNumber({
    minimum: 0,
    maximum: 1,
    default: 0,
    description: 'Leave out tokens less likely than this share of the most likely one.',
  }),
  presence_penalty: optionalNumber({
    minimum: -2,
    maximum: 2,
    default: 0,
    description: 'Subtracted from the logits of tokens in the output.',
  }),
  frequency_penalty: optionalNumber({
    minimum: -2,
    maximum: 2,
    default: 0,
    description: 'Subtracted from the logits of tokens in the output, once for each time they occur.',
  }),
  repetition_penalty: optionalNumber({
    exclusiveMinimum: 0,
    maximum: 100,
    default: 1,
    description:
      'Divides positive and multiplies negative logits of tokens in the prompt or output; 1 is off.',
  }),
  logit_bias: optional<Record<string, number>>('object', {
    additionalProperties: { type: 'number', minimum: -100, maximum: 100 },
    description: 'Added to the logits of these token ids.',
  }),
  seed: optionalInteger({
    minimum: -(2 ** 63),
    maximum: 2 ** 63,
    'x-expects': 'a whole number of 64 bits or null',
    description:
      'Same seed, prompt and parameters: same tokens. Choice 0 of each prompt uses the seed itself, choice i one derived from it and i. Left out, it is random.',
  }),
  stop: optional<string | string[]>(undefined, {
    anyOf: [text, { type: 'array', items: text, minItems: 1, maxItems: 4 }, { type: 'null' }],
    description: 'Texts that end the completion, and are not part of it.',
    'x-expects': 'a non-empty string, a list of 1 to 4 non-empty strings, or null',
  }),
  stop_token_ids: optional<number[]>('array', {
    items: tokenId,
    maxItems: 128,
    description: 'Tokens that end the completion, and are not part of its text.',
  }),
  include_stop_str_in_output: optionalBoolean({
    default: false,
    description: 'Keep the stop text that matched.',
  }),
  min_tokens: optionalInteger({ minimum: 0, default: 0, description: 'No end before this many tokens.' }),
  ignore_eos: optionalBoolean({ default: false, description: 'Go on past the end the model would make.' }),
  skip_special_tokens: optionalBoolean({
    default: true,
    description: 'Leave special tokens out of the text.',
  }),
  logprobs: optionalInteger({
    minimum: 0,
    maximum: 5,
    description: 'Report each token’s logarithmic probability and those of this many most likely ones.',
  }),
  stream: optionalBoolean({
    default: false,
    description: 'Send the text as it is made, as server-sent events.',
  }),
  stream_options: optional<StreamOptions>('object', {
    properties: {
      include_usage: {
        type: ['boolean', 'null'],
        default: false,
        description: 'End with a chunk that holds `usage`.',
      },
      continuous_usage_stats: {
        type: ['boolean', 'null'],
        default: false,
        description: 'With `include_usage`: every chunk holds the `usage` of all choices so far.',
      },
      include_obfuscation: {
        enum: [null, false],
        description: 'Not supported: chunks are not padded. Accepted: `null`, `false`.',
        'x-unsupported': 'chunks are not padded',
      },
    },
    additionalProperties: false,
    description: 'Only with `stream`.',
  }),
  user: optional<string>('string', { description: 'Accepted and not used.' }),
};

export const CompletionRequestSchema = Type.Object(
  { ...fields, ...unsupportedFields },
  {
    additionalProperties: false,
    examples: [
      { model: 'austen-t5-altup-k2', prompt: 'It is a truth universally', max_tokens: 32, temperature: 0.7 },
    ],
  },
);

export type CompletionRequest = Type.Static<typeof CompletionRequestSchema>;
