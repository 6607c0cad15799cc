import Type from 'typebox';

export const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** The JSON Schema keywords that a field may have, and one of our own. */
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
  maxProperties?: number;
  required?: string[];
  /** What the field accepts, in words, if the keywords alone do not say it. */
  'x-expects'?: string;
}

/** An optional request field. As in OpenAI's API, null means the default. */
export const optional = <T>(type: string | undefined, options: FieldOptions) =>
  Type.Optional(Type.Unsafe<T | null>({ ...(type ? { type: [type, 'null'] } : {}), ...options }));

export const optionalInteger = (options: FieldOptions) => optional<number>('integer', options);
export const optionalBoolean = (options: FieldOptions) => optional<boolean>('boolean', options);

/**
 * A field that clients know from other servers. Values that change nothing are accepted, others refused with `reason`.
 * @param unless further accepted values, of this type and in words, that only code can check
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

/** A field that clients know from other servers. Its value is accepted and has no effect. */
export const unused = (type: string | undefined, reason: string) =>
  Type.Optional(
    Type.Unsafe<unknown>({
      ...(type ? { type: [type, 'null'] } : {}),
      description: `Accepted but ignored: ${reason}.`,
      'x-unused': reason,
    }),
  );

/** Our own keywords. The validator refuses keywords that it does not know. */
export const ownKeywords = ['x-expects', 'x-unsupported', 'x-accepted', 'x-unused', 'x-closed'];
