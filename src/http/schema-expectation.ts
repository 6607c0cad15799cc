/** The keywords of JSON Schema that requests are described with. */
export interface FieldSchema {
  type?: string | string[];
  enum?: readonly unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  properties?: Record<string, FieldSchema>;
  'x-expects'?: string;
  'x-unsupported'?: string;
  'x-accepted'?: string;
}

function range({ minimum, maximum, exclusiveMinimum }: FieldSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (exclusiveMinimum !== undefined) {
    return maximum === undefined
      ? ` above ${exclusiveMinimum}`
      : ` above ${exclusiveMinimum}, at most ${maximum}`;
  }
  if (minimum !== undefined) return ` of at least ${minimum}`;
  return maximum === undefined ? '' : ` of at most ${maximum}`;
}

function items({ minItems, maxItems }: FieldSchema): string {
  if (maxItems !== undefined) return ` of ${minItems ?? 0} to ${maxItems} items`;
  return minItems === undefined ? '' : ` of at least ${minItems} item${minItems === 1 ? '' : 's'}`;
}

function typeExpectation(type: string, schema: FieldSchema): string {
  switch (type) {
    case 'integer':
      return `a whole number${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'string':
      return schema.minLength === undefined ? 'a string' : 'a non-empty string';
    case 'boolean':
      return 'true or false';
    case 'array':
      return `a list${items(schema)}`;
    case 'object':
      return 'an object';
    default:
      return type;
  }
}

/** What a schema accepts, in words. */
export function schemaExpectation(schema: FieldSchema): string {
  if (schema['x-expects']) return schema['x-expects'];
  if (schema.enum) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(', ')}`;
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  return types.map((type) => typeExpectation(type, schema)).join(' or ') || 'valid';
}
