import type Type from 'typebox';
import {
  eachSamplingNumber,
  type SamplingNumber,
  type samplingNumbers,
} from '../../sampling/sampling-request.ts';
import { optional, optionalBoolean, optionalInteger } from '../schema-field.ts';
import { withoutEffectInStreamOptions } from './fields-without-effect.ts';
import { structureFields } from './structure-fields.ts';

export const tokenId = { type: 'integer', minimum: 0 };
export const nonEmptyText = { type: 'string', minLength: 1 };

interface StreamOptions {
  include_usage?: boolean | null;
  continuous_usage_stats?: boolean | null;
  include_obfuscation?: boolean | null;
}

type SamplingField = (typeof samplingNumbers)[SamplingNumber]['field'];

const samplingFields = Object.fromEntries(
  Object.values(
    eachSamplingNumber(({ field, type, neutral, description, ...range }) => [
      field,
      optional<number>(type, { ...range, default: neutral, description }),
    ]),
  ),
) as Record<SamplingField, ReturnType<typeof optional<number>>>;

/** The fields of every request for generated text, whatever its API. */
export const textFields = {
  model: optional<string>('string', {
    description: 'The model to use, by its name in /v1/models. Optional if only one model is served.',
  }),
  ...samplingFields,
  logit_bias: optional<Record<string, number>>('object', {
    additionalProperties: { type: 'number', minimum: -100, maximum: 100 },
    description: 'Added to the logits of these token ids.',
  }),
  seed: optionalInteger({
    minimum: -(2 ** 63),
    maximum: 2 ** 63,
    'x-expects': 'a 64-bit whole number or null',
    description:
      'On the CPU, the same seed, prompt and parameters give the same tokens. Choice 0 of each prompt uses the seed itself; choice i uses a seed derived from it and i. The default is a random seed.',
  }),
  stop: optional<string | string[]>(undefined, {
    anyOf: [nonEmptyText, { type: 'array', items: nonEmptyText, maxItems: 4 }, { type: 'null' }],
    description: 'Texts that end the completion. They are not part of it.',
    'x-expects': 'a non-empty string, a list of at most 4 non-empty strings, or null',
  }),
  stop_token_ids: optional<number[]>('array', {
    items: tokenId,
    maxItems: 128,
    description: 'Tokens that end the completion. They are not part of its text.',
  }),
  include_stop_str_in_output: optionalBoolean({
    default: false,
    description: 'Keep the matching stop text at the end of the completion.',
  }),
  min_tokens: optionalInteger({
    minimum: 0,
    default: 0,
    description: 'Do not end the completion before this many tokens.',
  }),
  ignore_eos: optionalBoolean({ default: false, description: 'Continue when the model would end the text.' }),
  skip_special_tokens: optionalBoolean({
    default: true,
    description: 'Leave special tokens out of the text.',
  }),
  allowed_token_ids: optional<number[]>('array', {
    items: tokenId,
    minItems: 1,
    description: 'Generate only these tokens.',
  }),
  bad_words: optional<string[]>('array', {
    items: { ...nonEmptyText, maxLength: 128 },
    maxItems: 32,
    description: 'The completion never contains the token sequence of any of these texts.',
  }),
  structured_outputs: structureFields.structured_outputs,
  truncate_prompt_tokens: optional<number>('integer', {
    minimum: -1,
    description:
      'Keep only the last tokens of a longer prompt, this many; -1 keeps as many as fit next to the tokens to generate.',
  }),
  priority: optionalInteger({
    minimum: -(2 ** 31),
    maximum: 2 ** 31 - 1,
    default: 0,
    description:
      'Among the waiting requests of one client, lower values get a slot first. Waiting raises every request.',
  }),
  cache_salt: optional<string>('string', {
    maxLength: 256,
    description: 'Requests share cached prompts only with requests that have the same salt.',
  }),
  stream: optionalBoolean({
    default: false,
    description: 'Send the text while it is generated, as server-sent events.',
  }),
};

/** The fields of requests for generated text whose answers have choices. */
export const generationFields = {
  ...textFields,
  n: optionalInteger({
    minimum: 1,
    maximum: 128,
    default: 1,
    description: 'Number of choices for each prompt. More than one needs a `temperature` above 0.',
  }),
  response_format: structureFields.response_format,
  return_token_ids: optionalBoolean({
    default: false,
    description: 'Also return the token ids of the prompt and of each choice.',
  }),
  return_metrics: optionalBoolean({
    default: false,
    description: 'Also return, as `metrics`, how long the request waited and ran.',
  }),
  request_id: optional<string>('string', {
    minLength: 1,
    maxLength: 128,
    pattern: '^[\\w.:/+=@-]+$',
    description: 'Becomes the answer’s `id`, after the usual prefix.',
    'x-expects': 'at most 128 letters, digits and `._:/+=@-`, or null',
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
