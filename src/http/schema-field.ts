import Type from 'typebox';

export const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** JSON Schema keywords, and one of ours, that a field may carry. */
interface FieldOptions {
  description: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  items?: object;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  anyOf?: object[];
  additionalProperties?: unknown;
  properties?: object;
  required?: string[];
  /** What the field accepts, in words, where the keywords alone would not tell. */
  'x-expects'?: string;
}

/** An optional field of a request where null stands for the default, as OpenAI has it. */
export const optional = <T>(type: string | undefined, options: FieldOptions) =>
  Type.Optional(Type.Unsafe<T | null>({ ...(type ? { type: [type, 'null'] } : {}), ...options }));

export const optionalNumber = (options: FieldOptions) => optional<number>('number', options);
export const optionalInteger = (options: FieldOptions) => optional<number>('integer', options);
export const optionalBoolean = (options: FieldOptions) => optional<boolean>('boolean', options);

/**
 * A field clients know from elsewhere: only values that change nothing are taken, others refused with the reason.
 * @param unless values that only the code can tell, in words; of this type
 */
export function unsupported<T = unknown>(
  neutral: readonly unknown[],
  reason: string,
  unless?: { type: string; words: string },
) {
  const all = [...neutral.map((value) => `\`${JSON.stringify(value)}\``), ...(unless ? [unless.words] : [])];
  return Type.Optional(
    Type.Unsafe<T>({
      ...(unless ? { type: [unless.type, 'null'] } : { enum: neutral }),
      description: `Not supported: ${reason}. Accepted: ${all.join(', ')}.`,
      'x-unsupported': reason,
      'x-accepted': all.filter((value) => value !== '`null`').join(' or '),
    }),
  );
}

/** A field clients know from elsewhere that changes nothing, whatever its value. */
export const unused = (type: string | undefined, reason: string) =>
  Type.Optional(
    Type.Unsafe<unknown>({
      ...(type ? { type: [type, 'null'] } : {}),
      description: `Accepted and not used: ${reason}.`,
      'x-unused': reason,
    }),
  );

/** Ours among the keywords, for the validator, which refuses unknown ones. */
export const ownKeywords = ['x-expects', 'x-unsupported', 'x-accepted', 'x-unused'];
