import Type from 'typebox';
import type { ContentPart } from '../../catalog/tokenizer/content-form.ts';
import {
  withoutEffectInChat,
  withoutEffectInMessages,
  withoutEffectInParts,
} from '../generation/fields-without-effect.ts';
import { generationFields } from '../generation/generation-fields.ts';
import { optional, optionalBoolean, optionalInteger } from '../schema-field.ts';
import { type RequestCall, toolFields, toolMessageFields } from './tools/tool-fields.ts';

const roles = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

export interface RequestMessage {
  role: (typeof roles)[number];
  content?: string | ContentPart[] | null;
  name?: string | null;
  tool_calls?: RequestCall[] | null;
  tool_call_id?: string | null;
}

const messageSchema = {
  type: 'object',
  required: ['role'],
  properties: {
    role: {
      type: 'string',
      enum: roles,
      description: '`developer` means the same as `system`.',
    },
    content: {
      anyOf: [
        { type: 'string' },
        {
          type: 'array',
          minItems: 1,
          items: {
            type: 'object',
            required: ['type'],
            properties: {
              type: { type: 'string', minLength: 1 },
              text: { type: 'string' },
              ...withoutEffectInParts,
            },
            // Not by `additionalProperties`: the error for a part of another type should name the type.
            'x-closed': true,
          },
        },
        { type: 'null' },
      ],
      description:
        'A text, or a list of parts of the type `text`. A template that does not read parts gets them joined into one text. Only a message with `tool_calls` may have none.',
      'x-expects': 'a string or a list of parts with a `type`',
    },
    name: { type: ['string', 'null'], description: 'The author’s name, for templates that use it.' },
    ...toolMessageFields,
    ...withoutEffectInMessages,
  },
  additionalProperties: false,
};

const fields = {
  messages: Type.Unsafe<RequestMessage[]>({
    type: 'array',
    items: messageSchema,
    minItems: 1,
    description: 'The chat so far, in a form that the model’s own chat template accepts.',
  }),
  max_completion_tokens: optionalInteger({
    minimum: 1,
    description:
      'Maximum tokens to generate. The service refuses more than the model has room for. The default is the model’s `max_new_tokens`, else 2048, or the remaining room if that is less.',
  }),
  max_tokens: optionalInteger({
    minimum: 1,
    description: 'The older name of `max_completion_tokens`, which takes precedence.',
  }),
  logprobs: optionalBoolean({
    default: false,
    description: 'Return the log probability of each token.',
  }),
  top_logprobs: optionalInteger({
    minimum: 0,
    maximum: 20,
    description: 'Also return the log probabilities of this many most likely tokens. Only with `logprobs`.',
  }),
  add_generation_prompt: optionalBoolean({
    default: true,
    description: 'Begin a new assistant message.',
  }),
  continue_final_message: optionalBoolean({
    default: false,
    description: 'Continue the last message instead; needs `"add_generation_prompt": false`.',
  }),
  add_special_tokens: optionalBoolean({
    default: false,
    description: 'Also add the tokenizer’s special tokens, for templates that leave them out.',
  }),
  chat_template_kwargs: optional<Record<string, unknown>>('object', {
    additionalProperties: true,
    description: 'Additional variables for the chat template, by name.',
  }),
};

export const ChatRequestSchema = Type.Object(
  { ...fields, ...toolFields, ...generationFields, ...withoutEffectInChat },
  {
    additionalProperties: false,
    examples: [
      {
        model: 'austen-gemma3',
        messages: [{ role: 'user', content: 'Who is Mr. Darcy?' }],
        max_completion_tokens: 32,
      },
    ],
  },
);

export type ChatRequest = Type.Static<typeof ChatRequestSchema>;
