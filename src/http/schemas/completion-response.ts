import Type from 'typebox';

const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const LogprobsSchema = Type.Object({
  tokens: Type.Array(Type.String(), {
    description: 'Bytes that are no whole character are written `bytes:\\xe2`.',
  }),
  token_logprobs: Type.Array(Type.Number(), { description: 'No less than -9999.' }),
  top_logprobs: Type.Array(Type.Record(Type.String(), Type.Number())),
  text_offset: Type.Array(Type.Integer(), {
    description: 'Where the token begins in `text`, in characters.',
  }),
});

const UsageSchema = Type.Object({
  prompt_tokens: Type.Integer({ description: 'Of all prompts, each counted once.' }),
  completion_tokens: Type.Integer({ description: 'Of all choices.' }),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  completion_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
});

const ChoiceSchema = Type.Object({
  index: Type.Integer({ description: 'Of prompt p’s choice i: p·n + i.' }),
  text: Type.String(),
  logprobs: nullable(LogprobsSchema),
  finish_reason: nullable(Type.Unsafe<'stop' | 'length'>({ type: 'string', enum: ['stop', 'length'] })),
  stop_reason: Type.Union([Type.String(), Type.Integer(), Type.Null()], {
    description: 'The stop text or stop token id that matched; null: the model’s own end, or the length.',
  }),
});

export const CompletionSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('text_completion'),
    created: Type.Integer({ description: 'Seconds since the epoch.' }),
    model: Type.String(),
    system_fingerprint: Type.String({ description: 'Changes with the model’s weights.' }),
    choices: Type.Array(ChoiceSchema),
    usage: UsageSchema,
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
          completion_tokens_details: { reasoning_tokens: 0 },
        },
      },
    ],
  },
);

export type Completion = Type.Static<typeof CompletionSchema>;
export const CompletionRef = Type.Unsafe<Completion>({ $ref: 'Completion#' });
export type Choice = Type.Static<typeof ChoiceSchema>;
export type CompletionLogprobs = Type.Static<typeof LogprobsSchema>;
export type Usage = Type.Static<typeof UsageSchema>;
