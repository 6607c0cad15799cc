import Type from 'typebox';
import type { FinishReason } from '../../engine/protocol/generation.ts';
import {
  ending,
  head,
  RequestMetricsSchema,
  TokenLogprobSchema,
  tokenIds,
  UsageSchema,
} from '../generation/answer-parts.ts';
import { nullable } from '../schema-field.ts';

const ChatLogprobsSchema = Type.Object({
  content: Type.Array(TokenLogprobSchema),
  refusal: Type.Null(),
});

const ToolCallSchema = Type.Object({
  id: Type.String({ description: 'Unique. The message with the result names it as `tool_call_id`.' }),
  type: Type.Literal('function'),
  function: Type.Object({
    name: Type.String(),
    arguments: Type.String({
      description: 'A JSON object, valid under the function’s schema unless cut off.',
    }),
  }),
});

const ChatChoiceSchema = Type.Object({
  index: Type.Integer(),
  message: Type.Object({
    role: Type.Literal('assistant'),
    content: Type.Union([Type.String(), Type.Null()], {
      description: 'null if there are only `tool_calls`.',
    }),
    tool_calls: Type.Optional(
      Type.Array(ToolCallSchema, { description: 'The calls that the model makes, in order.' }),
    ),
    refusal: Type.Null(),
  }),
  logprobs: nullable(ChatLogprobsSchema),
  ...ending,
  finish_reason: nullable(
    Type.Unsafe<FinishReason | 'tool_calls'>({ type: 'string', enum: ['stop', 'length', 'tool_calls'] }),
  ),
  prompt_token_ids: tokenIds('With `return_token_ids`; in a stream, only in the first chunk of each choice.'),
  token_ids: tokenIds('With `return_token_ids`; includes the token with which the model ended.'),
});

export const ChatCompletionSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('chat.completion'),
    ...head,
    choices: Type.Array(ChatChoiceSchema),
    usage: UsageSchema,
    metrics: Type.Optional(RequestMetricsSchema),
  },
  {
    $id: 'ChatCompletion',
    examples: [
      {
        id: 'chatcmpl-6b1f0c1e8a0d4a53b2c4a3a2a1f0e9d8',
        object: 'chat.completion',
        created: 1_780_000_000,
        model: 'austen-gemma3',
        system_fingerprint: 'fp_0f4c9d1e2b3a',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'A proud man.', refusal: null },
            logprobs: null,
            finish_reason: 'stop',
            stop_reason: null,
          },
        ],
        usage: {
          prompt_tokens: 14,
          completion_tokens: 5,
          total_tokens: 19,
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

export type ChatCompletion = Type.Static<typeof ChatCompletionSchema>;
export const ChatCompletionRef = Type.Unsafe<ChatCompletion>({ $ref: 'ChatCompletion#' });
export type ToolCall = Type.Static<typeof ToolCallSchema>;
export type ChatChoice = Type.Static<typeof ChatChoiceSchema>;
export type ChatLogprobs = Type.Static<typeof ChatLogprobsSchema>;
