import Type from 'typebox';
import { TokenLogprobSchema } from '../generation/answer-parts.ts';
import { nullable } from '../schema-field.ts';
import type { FunctionTool, ResponseToolChoice } from './responses-request.ts';

const itemStatus = Type.Enum(['in_progress', 'completed', 'incomplete'], {
  description: '`incomplete`: the length limit cut the item off.',
});

const OutputTextSchema = Type.Object({
  type: Type.Literal('output_text'),
  text: Type.String(),
  annotations: Type.Unsafe<never[]>({ type: 'array', maxItems: 0 }),
  logprobs: Type.Array(TokenLogprobSchema, {
    description: 'If `include` has `message.output_text.logprobs`; else empty.',
  }),
});

const OutputMessageSchema = Type.Object({
  type: Type.Literal('message'),
  id: Type.String(),
  role: Type.Literal('assistant'),
  status: itemStatus,
  content: Type.Array(OutputTextSchema),
});

const FunctionCallSchema = Type.Object({
  type: Type.Literal('function_call'),
  id: Type.String(),
  call_id: Type.String({ description: 'Unique. The item with the result repeats it.' }),
  name: Type.String(),
  arguments: Type.String({
    description: 'A JSON object, valid under the function’s schema unless cut off.',
  }),
  status: itemStatus,
});

const OutputItemSchema = Type.Union([OutputMessageSchema, FunctionCallSchema]);

const ResponseUsageSchema = Type.Object({
  input_tokens: Type.Integer(),
  input_tokens_details: Type.Object({
    cached_tokens: Type.Integer({
      description:
        'Tokens that were not computed again, because an earlier request began with the same ones.',
    }),
    cache_write_tokens: Type.Integer({ description: 'Always 0: the service does not count them.' }),
  }),
  output_tokens: Type.Integer(),
  output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
  total_tokens: Type.Integer(),
});

const textFormat = Type.Union([
  Type.Object({ type: Type.Enum(['text', 'json_object']) }),
  Type.Object({
    type: Type.Literal('json_schema'),
    name: Type.String(),
    description: Type.Optional(Type.String()),
    schema: Type.Unsafe<Record<string, unknown>>({ type: 'object' }),
    strict: Type.Boolean(),
  }),
]);

/** The fields that repeat the request, with the values that counted. */
const echoed = {
  instructions: nullable(Type.String()),
  max_output_tokens: nullable(Type.Integer()),
  metadata: Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: { type: 'string' },
  }),
  parallel_tool_calls: Type.Boolean(),
  previous_response_id: nullable(Type.String()),
  temperature: Type.Number(),
  text: Type.Object({ format: textFormat }),
  tool_choice: Type.Unsafe<ResponseToolChoice>({ type: ['string', 'object'] }),
  tools: Type.Array(Type.Unsafe<Required<FunctionTool>>({ type: 'object' })),
  top_logprobs: Type.Integer(),
  top_p: Type.Number(),
};

export const ResponseSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('response'),
    created_at: Type.Integer({ description: 'Seconds since the epoch.' }),
    completed_at: nullable(Type.Integer({ description: 'Seconds since the epoch.' })),
    status: Type.Enum(['in_progress', 'completed', 'incomplete', 'failed']),
    error: nullable(
      Type.Object({
        code: Type.Enum(['server_error', 'rate_limit_exceeded', 'invalid_prompt']),
        message: Type.String(),
      }),
    ),
    incomplete_details: nullable(Type.Object({ reason: Type.Literal('max_output_tokens') })),
    model: Type.String(),
    output: Type.Array(OutputItemSchema, { description: 'A message, calls, or a message and then calls.' }),
    usage: nullable(ResponseUsageSchema),
    ...echoed,
    background: Type.Literal(false),
    access_programs: Type.Null(),
    max_tool_calls: Type.Null(),
    reasoning: Type.Object({ effort: Type.Null(), summary: Type.Null() }),
    service_tier: Type.Literal('default'),
    store: Type.Boolean({ description: 'Whether the response can be read and continued later.' }),
    truncation: Type.Literal('disabled'),
  },
  {
    $id: 'Response',
    examples: [
      {
        id: 'resp_6b1f0c1e8a0d4a53b2c4a3a2a1f0e9d8',
        object: 'response',
        created_at: 1_780_000_000,
        completed_at: 1_780_000_001,
        status: 'completed',
        error: null,
        incomplete_details: null,
        model: 'austen-gemma3',
        output: [
          {
            type: 'message',
            id: 'msg_0e9d86b1f0c1e8a0d4a53b2c4a3a2a1f',
            role: 'assistant',
            status: 'completed',
            content: [{ type: 'output_text', text: 'A proud man.', annotations: [], logprobs: [] }],
          },
        ],
        usage: {
          input_tokens: 14,
          input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
          output_tokens: 5,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: 19,
        },
        instructions: null,
        max_output_tokens: 32,
        metadata: {},
        parallel_tool_calls: true,
        previous_response_id: null,
        temperature: 1,
        text: { format: { type: 'text' } },
        tool_choice: 'auto',
        tools: [],
        top_logprobs: 0,
        top_p: 1,
        background: false,
        access_programs: null,
        max_tool_calls: null,
        reasoning: { effort: null, summary: null },
        service_tier: 'default',
        store: false,
        truncation: 'disabled',
      },
    ],
  },
);

export type ResponseObject = Type.Static<typeof ResponseSchema>;
export const ResponseRef = Type.Unsafe<ResponseObject>({ $ref: 'Response#' });
export type ResponseEcho = Type.Static<Type.TObject<typeof echoed>>;
export type OutputItem = Type.Static<typeof OutputItemSchema>;
export type OutputMessage = Type.Static<typeof OutputMessageSchema>;
export type FunctionCall = Type.Static<typeof FunctionCallSchema>;
export type OutputText = Type.Static<typeof OutputTextSchema>;
