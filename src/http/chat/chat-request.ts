import Type from 'typebox';
import type { ContentPart } from '../../catalog/tokenizer/content-form.ts';
import {
  withoutEffectInChat,
  withoutEffectInMessages,
  withoutEffectInParts,
} from '../generation/fields-without-effect.ts';
import { generationFields } from '../generation/generation-fields.ts';
import { optional, optionalBoolean, optionalInteger } from '../schema-field.ts';

const roles = ['system', 'developer', 'user', 'assistant'] as const;

export interface RequestMessage {
  role: (typeof roles)[number];
  content: string | ContentPart[];
  name?: string | null;
}

const messageSchema = {
  type: 'object',
  required: ['role', 'content'],
  properties: {
    role: {
      type: 'string',
      enum: roles,
      description: '`developer` is another word for `system`.',
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
          },
        },
      ],
      description: 'A text, or parts of the type `text`, which templates that read no parts get as one text.',
      'x-expects': 'a string or a list of parts with a `type`',
    },
    name: { type: ['string', 'null'], description: 'Whose message it is, for templates that tell.' },
    ...withoutEffectInMessages,
  },
  additionalProperties: false,
};

const fields = {
  messages: Type.Unsafe<RequestMessage[]>({
    type: 'array',
    items: messageSchema,
    minItems: 1,
    description: 'The chat so far, as the model’s own chat template takes it.',
  }),
  max_completion_tokens: optionalInteger({
    minimum: 1,
    description:
      'Most tokens to generate. More than the model has room for is refused; left out, it is the room there is.',
  }),
  max_tokens: optionalInteger({
    minimum: 1,
    description: 'The older name of `max_completion_tokens`, which goes before it.',
  }),
  logprobs: optionalBoolean({
    default: false,
    description: 'Report each token’s logarithmic probability.',
  }),
  top_logprobs: optionalInteger({
    minimum: 0,
    maximum: 20,
    description: 'Also those of this many most likely tokens. Only with `logprobs`.',
  }),
  add_generation_prompt: optionalBoolean({
    default: true,
    description: 'Begin a new message of the assistant.',
  }),
  continue_final_message: optionalBoolean({
    default: false,
    description: 'Go on with the last message instead; needs `"add_generation_prompt": false`.',
  }),
  add_special_tokens: optionalBoolean({
    default: false,
    description: 'Also add the tokenizer’s special tokens, for templates that leave them out.',
  }),
  chat_template_kwargs: optional<Record<string, unknown>>('object', {
    additionalProperties: true,
    description: 'What else the chat template may ask for, by name.',
  }),
};

export const ChatRequestSchema = Type.Object(
  { ...fields, ...generationFields, ...withoutEffectInChat },
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
