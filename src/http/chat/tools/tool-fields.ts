import { withoutEffectInCalls, withoutEffectInTools } from '../../generation/fields-without-effect.ts';
import { optional, optionalBoolean } from '../../schema-field.ts';

/** A tool as clients describe it. */
export interface Tool {
  type: 'function';
  function: {
    name: string;
    description?: string | null;
    parameters?: Record<string, unknown> | null;
    strict?: boolean | null;
  };
}

interface NamedTool {
  type: 'function';
  function: { name: string };
}

export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | NamedTool
  | { type: 'allowed_tools'; allowed_tools: { mode: 'auto' | 'required'; tools: NamedTool[] } };

/** An earlier call of the assistant, as clients send it back. */
export interface RequestCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

export const functionName = {
  type: 'string',
  pattern: '^[a-zA-Z0-9_-]{1,64}$',
  'x-expects': 'a name of 1 to 64 letters, digits, `_` and `-`',
};
export const functionType = { enum: ['function'], 'x-expects': '`"function"`, the only kind of tool here' };

/** The fields of a function, for requests that describe it. */
export const functionFields = {
  name: functionName,
  description: { type: ['string', 'null'] },
  parameters: {
    type: ['object', 'null'],
    description:
      'The JSON schema of the arguments, an object. One that says nothing of members, and the default, mean none.',
  },
  strict: {
    type: ['boolean', 'null'],
    description:
      'Every object has exactly the members that the schema names, and a keyword that cannot be enforced is refused.',
  },
};

/** Maximum functions of a request. */
export const maxTools = 128;

const namedTool = {
  type: 'object',
  required: ['type', 'function'],
  properties: {
    type: functionType,
    function: {
      type: 'object',
      required: ['name'],
      properties: { name: functionName },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
};

export const toolFields = {
  tools: optional<Tool[]>('array', {
    maxItems: maxTools,
    items: {
      type: 'object',
      required: ['type', 'function'],
      properties: {
        type: functionType,
        function: {
          type: 'object',
          required: ['name'],
          properties: functionFields,
          additionalProperties: false,
        },
        ...withoutEffectInTools,
      },
      additionalProperties: false,
    },
    description:
      'Functions that the model may call. Their arguments are always held to their schemas. Needs the native backend.',
  }),
  tool_choice: optional<ToolChoice>(undefined, {
    anyOf: [
      { enum: ['none', 'auto', 'required', null] },
      namedTool,
      {
        type: 'object',
        required: ['type', 'allowed_tools'],
        properties: {
          type: { enum: ['allowed_tools'] },
          allowed_tools: {
            type: 'object',
            required: ['mode', 'tools'],
            properties: {
              mode: { enum: ['auto', 'required'] },
              tools: { type: 'array', minItems: 1, maxItems: maxTools, items: namedTool },
            },
            additionalProperties: false,
          },
        },
        additionalProperties: false,
      },
    ],
    default: 'auto',
    description:
      '`none`: the answer is text; `auto`: text, or text and then calls; `required`: calls; a function: a call of that one; `allowed_tools`: as its `mode` says, with only these.',
    'x-expects':
      '`"none"`, `"auto"`, `"required"`, `{"type": "function", "function": {"name": "…"}}` or `{"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": […]}}`, with names in `tools`',
  }),
  parallel_tool_calls: optionalBoolean({
    default: true,
    description: 'Allow several calls in one answer.',
  }),
};

/** Of the messages that belong to calls. */
export const toolMessageFields = {
  tool_calls: {
    type: ['array', 'null'],
    maxItems: 128,
    items: {
      type: 'object',
      required: ['id', 'type', 'function'],
      properties: {
        id: { type: 'string', minLength: 1, maxLength: 256 },
        type: functionType,
        function: {
          type: 'object',
          required: ['name', 'arguments'],
          properties: {
            name: functionName,
            arguments: { type: 'string', description: 'A JSON object, written as a string.' },
            ...withoutEffectInCalls,
          },
          additionalProperties: false,
        },
        ...withoutEffectInCalls,
      },
      additionalProperties: false,
    },
    description: 'Of the role `assistant`: the calls that it made.',
  },
  tool_call_id: {
    type: ['string', 'null'],
    maxLength: 256,
    description: 'Of the role `tool`: the call whose result this message holds.',
  },
};
