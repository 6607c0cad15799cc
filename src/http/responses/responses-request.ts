import Type from 'typebox';
import {
  functionFields,
  functionName,
  functionType,
  maxTools,
  toolFields,
} from '../chat/tools/tool-fields.ts';
import {
  withoutEffectInFunctions,
  withoutEffectInReasoning,
  withoutEffectInResponses,
  withoutEffectInStreamOptions,
  withoutEffectInText,
} from '../generation/fields-without-effect.ts';
import { textFields } from '../generation/generation-fields.ts';
import { optional, optionalBoolean, optionalInteger } from '../schema-field.ts';
import { type InputItem, itemSchema } from './input-items.ts';

/** A function as this API describes it: without the object around it that chats have. */
export interface FunctionTool {
  type: 'function';
  name: string;
  description?: string | null;
  parameters?: Record<string, unknown> | null;
  strict?: boolean | null;
}

type NamedFunction = { type: 'function'; name: string };

export type ResponseToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | NamedFunction
  | { type: 'allowed_tools'; mode: 'auto' | 'required'; tools: NamedFunction[] };

export interface TextConfig {
  format?: {
    type: 'text' | 'json_object' | 'json_schema';
    name?: string | null;
    description?: string | null;
    schema?: object | null;
    strict?: boolean | null;
  } | null;
}

/** What an answer may include besides its text. Only log probabilities exist here. */
const includable = [
  'message.output_text.logprobs',
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
] as const;

const namedFunction = {
  type: 'object',
  required: ['type', 'name'],
  properties: { type: functionType, name: functionName },
  additionalProperties: false,
};

/** The fields of this API that have an effect here, besides those of every request. */
export const responseFields = {
  input: Type.Unsafe<string | InputItem[]>({
    type: ['string', 'array'],
    items: itemSchema,
    minItems: 1,
    description:
      'The user’s message, or the conversation so far as a list of items, in a form that the model’s own chat template accepts.',
  }),
  instructions: optional<string>('string', {
    description: 'The system message, before all of `input`.',
  }),
  max_output_tokens: optionalInteger({
    minimum: 1,
    description:
      'Maximum tokens to generate. The service refuses more than the model has room for. The default is the model’s `max_new_tokens`, else 2048, or the remaining room if that is less.',
  }),
  text: optional<TextConfig>('object', {
    properties: {
      format: {
        type: ['object', 'null'],
        properties: {
          type: { enum: ['text', 'json_object', 'json_schema'] },
          name: { type: ['string', 'null'], minLength: 1, maxLength: 64 },
          description: { type: ['string', 'null'] },
          schema: { type: ['object', 'null'] },
          strict: {
            type: ['boolean', 'null'],
            description:
              'Every object has exactly the members that the schema names, and a keyword that cannot be enforced is refused.',
          },
        },
        required: ['type'],
        additionalProperties: false,
        description:
          'Constrains the text to any JSON object, or to a JSON document that matches `schema`. Objects in the schema allow only the members they name, unless they say otherwise. Needs the native backend.',
      },
      ...withoutEffectInText,
    },
    additionalProperties: false,
    description: 'The form of the text.',
  }),
  tools: optional<FunctionTool[]>('array', {
    maxItems: maxTools,
    items: {
      type: 'object',
      // Before the fields, so that a tool of another type is refused for its type.
      allOf: [{ type: 'object', properties: { type: functionType } }],
      required: ['type', 'name'],
      properties: { type: { type: 'string' }, ...functionFields, ...withoutEffectInFunctions },
      additionalProperties: false,
    },
    description:
      'Functions that the model may call. Their arguments are always held to their schemas. Needs the native backend.',
  }),
  tool_choice: optional<ResponseToolChoice>(undefined, {
    anyOf: [
      { enum: ['none', 'auto', 'required', null] },
      namedFunction,
      {
        type: 'object',
        required: ['type', 'mode', 'tools'],
        properties: {
          type: { enum: ['allowed_tools'] },
          mode: { enum: ['auto', 'required'] },
          tools: { type: 'array', items: namedFunction, minItems: 1, maxItems: maxTools },
        },
        additionalProperties: false,
      },
    ],
    default: 'auto',
    description:
      '`none`: the answer is text; `auto`: text, or text and then calls; `required`: calls; a function: a call of that one; `allowed_tools`: only these functions.',
    'x-expects':
      '`"none"`, `"auto"`, `"required"`, `{"type": "function", "name": "…"}` or `{"type": "allowed_tools", "mode": "auto", "tools": […]}`, with names in `tools`',
  }),
  parallel_tool_calls: toolFields.parallel_tool_calls,
  include: optional<(typeof includable)[number][]>('array', {
    items: { enum: includable },
    description:
      '`message.output_text.logprobs`: the log probability of each token. The others are of tools and models that the service does not have.',
  }),
  top_logprobs: optionalInteger({
    minimum: 0,
    maximum: 20,
    description:
      'Also return the log probabilities of this many most likely tokens. Only if `include` has `message.output_text.logprobs`.',
  }),
  reasoning: optional<object>('object', {
    properties: withoutEffectInReasoning,
    additionalProperties: false,
    description: 'For models that reason before they answer, which the service does not have.',
  }),
  metadata: optional<Record<string, string>>('object', {
    additionalProperties: { type: 'string', maxLength: 512 },
    maxProperties: 16,
    description: 'The answer repeats it.',
    'x-expects': 'an object of at most 16 texts of at most 512 characters',
  }),
  store: optionalBoolean({
    default: true,
    description:
      'Keep the response, if the service has `ALTUP_RESPONSES_STORE`; the answer’s own `store` says whether it is kept.',
  }),
  previous_response_id: optional<string>('string', {
    description:
      'A stored response to continue: its conversation comes before `input`, without its `instructions`. Needs `ALTUP_RESPONSES_STORE`.',
  }),
  stream_options: optional<{ include_obfuscation?: boolean | null }>('object', {
    properties: withoutEffectInStreamOptions,
    additionalProperties: false,
    description: 'Only with `stream`.',
  }),
};

export const ResponsesRequestSchema = Type.Object(
  { ...responseFields, ...textFields, ...withoutEffectInResponses },
  {
    additionalProperties: false,
    examples: [{ model: 'austen-gemma3', input: 'Who is Mr. Darcy?', max_output_tokens: 32 }],
  },
);

export type ResponsesRequest = Type.Static<typeof ResponsesRequestSchema>;
