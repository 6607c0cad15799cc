import Type from 'typebox';
import { nullable } from '../schema-field.ts';

/** Token counts of an answer, the same for completions and chat. */
export const UsageSchema = Type.Object({
  prompt_tokens: Type.Integer({ description: 'Tokens of all prompts, each prompt counted once.' }),
  completion_tokens: Type.Integer({
    description: 'Tokens of all choices, including those that `best_of` discards.',
  }),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({
    cached_tokens: Type.Integer({
      description:
        'Tokens that were not computed again, because an earlier request began with the same ones.',
    }),
  }),
  completion_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
});

const milliseconds = (description: string) =>
  nullable(Type.Number({ description: `Milliseconds. ${description}` }));

export const RequestMetricsSchema = Type.Object(
  {
    queue_time_ms: milliseconds('From when the prompt was tokenized until the first sequence got a slot.'),
    time_to_first_token_ms: milliseconds('From arrival to the first token.'),
    generation_time_ms: milliseconds('From the first token to the last.'),
    mean_itl_ms: milliseconds('Mean gap between two tokens of a sequence.'),
    total_time_ms: milliseconds('From arrival to the end.'),
    tokens_per_second: nullable(
      Type.Number({
        description: 'Tokens of all sequences, divided by the time from the first slot to the last token.',
      }),
    ),
  },
  { description: 'With `return_metrics`.' },
);

/** How a choice ended. */
export const ending = {
  finish_reason: nullable(Type.Unsafe<'stop' | 'length'>({ type: 'string', enum: ['stop', 'length'] })),
  stop_reason: Type.Union([Type.String(), Type.Integer(), Type.Null()], {
    description:
      'The stop text or stop token id that matched; null if the model ended the text itself or the length limit was reached.',
  }),
};

export const tokenIds = (description: string) => Type.Optional(Type.Array(Type.Integer(), { description }));

/** Fields of the whole answer. */
export const head = {
  created: Type.Integer({ description: 'Seconds since the epoch.' }),
  model: Type.String(),
  system_fingerprint: Type.String({ description: 'Changes with the model’s weights.' }),
};

export type Usage = Type.Static<typeof UsageSchema>;
export type RequestMetrics = Type.Static<typeof RequestMetricsSchema>;
