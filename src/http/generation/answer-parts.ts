import Type from 'typebox';
import { nullable } from '../schema-field.ts';

/** What answers of completions and of chat have in common. */
export const UsageSchema = Type.Object({
  prompt_tokens: Type.Integer({ description: 'Of all prompts, each counted once.' }),
  completion_tokens: Type.Integer({ description: 'Of all choices, also those that `best_of` left out.' }),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({
    cached_tokens: Type.Integer({ description: 'Not computed anew: an earlier request began the same.' }),
  }),
  completion_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
});

const milliseconds = (description: string) =>
  nullable(Type.Number({ description: `Milliseconds. ${description}` }));

export const RequestMetricsSchema = Type.Object(
  {
    queue_time_ms: milliseconds(
      'From when the prompt’s tokens were known until the first sequence got a slot.',
    ),
    time_to_first_token_ms: milliseconds('From arrival.'),
    generation_time_ms: milliseconds('From the first token to the last.'),
    mean_itl_ms: milliseconds('Mean gap between two tokens of a sequence.'),
    total_time_ms: milliseconds('From arrival to the end.'),
    tokens_per_second: nullable(
      Type.Number({ description: 'Tokens of all sequences, over the time since the first slot.' }),
    ),
  },
  { description: 'With `return_metrics`.' },
);

/** Of a choice. */
export const ending = {
  finish_reason: nullable(Type.Unsafe<'stop' | 'length'>({ type: 'string', enum: ['stop', 'length'] })),
  stop_reason: Type.Union([Type.String(), Type.Integer(), Type.Null()], {
    description: 'The stop text or stop token id that matched; null: the model’s own end, or the length.',
  }),
};

export const tokenIds = (description: string) => Type.Optional(Type.Array(Type.Integer(), { description }));

/** Of a whole answer. */
export const head = {
  created: Type.Integer({ description: 'Seconds since the epoch.' }),
  model: Type.String(),
  system_fingerprint: Type.String({ description: 'Changes with the model’s weights.' }),
};

export type Usage = Type.Static<typeof UsageSchema>;
export type RequestMetrics = Type.Static<typeof RequestMetricsSchema>;
