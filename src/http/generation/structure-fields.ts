import { optional } from '../schema-field.ts';
import { withoutEffectInStructuredOutputs } from './fields-without-effect.ts';

const nonEmptyText = { type: 'string', minLength: 1 };

export interface ResponseFormat {
  type: 'text' | 'json_object' | 'json_schema';
  json_schema?: {
    name?: string;
    description?: string | null;
    schema?: object;
    strict?: boolean | null;
  } | null;
  schema?: object | null;
}

export interface StructuredOutputs {
  json?: object | string | null;
  regex?: string | null;
  choice?: string[] | null;
  grammar?: string | null;
  json_object?: boolean | null;
}

const orNull = (schema: object) => ({ anyOf: [schema, { type: 'null' }] });

/** The fields that constrain the text's structure: OpenAI's and vLLM's. */
export const structureFields = {
  response_format: optional<ResponseFormat>('object', {
    properties: {
      type: { enum: ['text', 'json_object', 'json_schema'] },
      json_schema: {
        type: ['object', 'null'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 64 },
          description: { type: ['string', 'null'] },
          schema: { type: 'object' },
          strict: {
            type: ['boolean', 'null'],
            description:
              'Every object has exactly the members that the schema names, and a keyword that cannot be enforced is refused.',
          },
        },
        required: ['schema'],
        additionalProperties: false,
      },
      schema: {
        type: ['object', 'null'],
        description:
          'With `json_object`: the same as `json_schema.schema`, in the form that llama.cpp and Instructor use.',
      },
    },
    required: ['type'],
    additionalProperties: false,
    description:
      'Constrains the text to any JSON object, or to a JSON document that matches `json_schema.schema`. Objects in the schema allow only the members they name, unless they say otherwise. Needs the native backend.',
  }),
  structured_outputs: optional<StructuredOutputs>('object', {
    properties: {
      json: {
        type: ['object', 'string', 'null'],
        description: 'A JSON schema, as an object or written as a string.',
      },
      regex: orNull({ ...nonEmptyText, description: 'A regular expression, in the syntax of Rust’s regex.' }),
      choice: {
        type: ['array', 'null'],
        items: nonEmptyText,
        minItems: 1,
        maxItems: 1024,
        description: 'The completion is one of these texts.',
      },
      grammar: orNull({ ...nonEmptyText, description: 'A grammar in llguidance’s variant of Lark.' }),
      json_object: { type: ['boolean', 'null'], description: 'Any JSON object.' },
      ...withoutEffectInStructuredOutputs,
    },
    additionalProperties: false,
    description:
      'Constrains the text by exactly one of `json`, `regex`, `choice`, `grammar` and `json_object`. Needs the native backend.',
  }),
};
