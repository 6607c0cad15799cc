import Type from 'typebox';
import { ending, head, RequestMetricsSchema, tokenIds, UsageSchema } from '../generation/answer-parts.ts';
import { nullable } from '../schema-field.ts';

const LogprobsSchema = Type.Object({
  tokens: Type.Array(Type.String(), {
    description: 'Bytes that do not form a whole character are written as `bytes:\\xe2`.',
  }),
  token_logprobs: Type.Array(nullable(Type.Number()), {
    description: 'At least -9999; null for a prompt’s first token.',
  }),
  top_logprobs: Type.Array(nullable(Type.Record(Type.String(), Type.Number()))),
  text_offset: Type.Array(Type.Integer(), {
    description: 'Where the token begins in `text`, in characters.',
  }),
});

const PromptLogprobSchema = Type.Object({
  logprob: Type.Number(),
  rank: Type.Integer({ description: 'Rank by likelihood, starting at 1.' }),
  decoded_token: Type.String(),
});

const ChoiceSchema = Type.Object({
  index: Type.Integer({ description: 'Choice i of prompt p has the index p·n + i.' }),
  text: Type.String(),
  logprobs: nullable(LogprobsSchema),
  ...ending,
  prompt_logprobs: Type.Optional(
    Type.Array(nullable(Type.Record(Type.String(), PromptLogprobSchema)), {
      description: 'With `prompt_logprobs`: by token id, for each token of the prompt; null for the first.',
    }),
  ),
  prompt_token_ids: tokenIds('With `return_token_ids`; in a stream, only in the first chunk of each choice.'),
  token_ids: tokenIds('With `return_token_ids`; includes the token with which the model ended.'),
});

export const CompletionSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('text_completion'),
    ...head,
    choices: Type.Array(ChoiceSchema),
    usage: UsageSchema,
    metrics: Type.Optional(RequestMetricsSchema),
  },
  {
    $id: 'Completion',
    examples: [
      {
        id: 'cmpl-6b1f0c1e8a0d4a53b2c4a3a2a1f0e9d8',
        object: 'text_completion',
        created: 1_780_000_000,
        model: 'austen-t5-altup-k2',
        system_fingerprint: 'fp_0f4c9d1e2b3a',
        choices: [
          {
            index: 0,
            text: ' acknowledged, that',
            logprobs: null,
            finish_reason: 'length',
            stop_reason: null,
          },
        ],
        usage: {
          prompt_tokens: 7,
          completion_tokens: 4,
          total_tokens: 11,
          prompt_tokens_details: { cached_tokens: 0 },
          completion_tokens_details: {
            reasoning_tokens: 0,
            accepted_prediction_tokens: 0,
            rejected_prediction_tokens: 0,
          },
        },
      },
    ],
  },
);

export type Completion = Type.Static<typeof CompletionSchema>;
export const CompletionRef = Type.Unsafe<Completion>({ $ref: 'Completion#' });
export type CompletionChoice = Type.Static<typeof ChoiceSchema>;
export type CompletionLogprobs = Type.Static<typeof LogprobsSchema>;
