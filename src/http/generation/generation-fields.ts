import type Type from 'typebox';
import { optional, optionalBoolean, optionalInteger, optionalNumber } from '../schema-field.ts';
import { withoutEffectInStreamOptions } from './fields-without-effect.ts';
import { structureFields } from './structure-fields.ts';

export const tokenId = { type: 'integer', minimum: 0 };
export const nonEmptyText = { type: 'string', minLength: 1 };

interface StreamOptions {
  include_usage?: boolean | null;
  continuous_usage_stats?: boolean | null;
  include_obfuscation?: boolean | null;
}

/** What every request for generated text may say, whatever its prompt looks like. */
export const generationFields = {
  model: optional<string>('string', {
    description: 'The model to use, as /v1/models names it. May be left out where only one is served.',
  }),
  n: optionalInteger({
    minimum: 1,
    maximum: 128,
    default: 1,
    description: 'Choices for each prompt. More than one need a `temperature` above 0.',
  }),
  temperature: optionalNumber({
    minimum: 0,
    maximum: 2,
    default: 1,
    description: '0 takes the most likely token.',
  }),
  top_p: optionalNumber({
    exclusiveMinimum: 0,
    maximum: 1,
    default: 1,
    description: 'Sample from the fewest tokens whose probabilities add up to this.',
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
      'Same seed, prompt and parameters: same tokens, on the CPU. Choice 0 of each prompt uses the seed itself, choice i one derived from it and i. Left out, it is random.',
  }),
  stop: optional<string | string[]>(undefined, {
    anyOf: [nonEmptyText, { type: 'array', items: nonEmptyText, maxItems: 4 }, { type: 'null' }],
    description: 'Texts that end the completion, and are not part of it.',
    'x-expects': 'a non-empty string, a list of at most 4 non-empty strings, or null',
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
  allowed_token_ids: optional<number[]>('array', {
    items: tokenId,
    minItems: 1,
    description: 'Generate no other tokens than these.',
  }),
  bad_words: optional<string[]>('array', {
    items: { ...nonEmptyText, maxLength: 128 },
    maxItems: 32,
    description: 'Texts whose tokens the completion never holds in a row.',
  }),
  ...structureFields,
  truncate_prompt_tokens: optional<number>('integer', {
    minimum: -1,
    description:
      'Keep only this many of the last tokens of a longer prompt; -1: as many as there is room for beside the tokens to generate.',
  }),
  return_token_ids: optionalBoolean({
    default: false,
    description: 'Also give the tokens of the prompt and of each choice.',
  }),
  return_metrics: optionalBoolean({
    default: false,
    description: 'Also give how long the request waited and ran, as `metrics`.',
  }),
  priority: optionalInteger({
    minimum: -(2 ** 31),
    maximum: 2 ** 31 - 1,
    default: 0,
    description: 'Of one client’s requests that wait for a slot, lower ones go first; all rise as they wait.',
  }),
  request_id: optional<string>('string', {
    minLength: 1,
    maxLength: 128,
    pattern: '^[\\w.:/+=@-]+$',
    description: 'Makes the answer’s `id`, behind its usual beginning.',
    'x-expects': 'at most 128 letters, digits and `._:/+=@-`, or null',
  }),
  cache_salt: optional<string>('string', {
    maxLength: 256,
    description: 'Share what was computed for a prompt only with requests that have the same.',
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
      ...withoutEffectInStreamOptions,
    },
    additionalProperties: false,
    description: 'Only with `stream`.',
  }),
};

export type GenerationFields = Type.Static<Type.TObject<typeof generationFields>>;
