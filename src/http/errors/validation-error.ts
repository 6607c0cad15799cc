import type { FastifyError } from 'fastify';
import { nearMiss } from '../../config/read-settings.ts';
import type { ServiceError } from '../../errors.ts';
import { invalidRequest } from './invalid-request.ts';

/** A failure as the validator reports it; `verbose` adds `parentSchema` and `data`. */
interface Failure {
  keyword: string;
  instancePath: string;
  params: Record<string, unknown>;
  parentSchema?: FieldSchema;
  data?: unknown;
}

/** `/stop/0` → `stop[0]`. */
const written = (path: string) =>
  path
    .slice(1)
    .replace(/\/(\d+)(?=\/|$)/g, '[$1]')
    .replaceAll('/', '.');

export const shortName = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}…` : name);

/** The field that an error names for a fault at `path`: the whole list if one of its items is at fault. */
export const paramOf = (path: string): string => path.replace(/\[.*/s, '');

/** The value found, if it is short and not the user's text. */
const found = (data: unknown) =>
  typeof data === 'number' || typeof data === 'boolean' || data === null ? `, not ${data}` : '';

/** The error for a field that has no effect here, with a value that should have one. */
export function unsupportedField(path: string, schema: object): ServiceError {
  const { 'x-unsupported': reason, 'x-accepted': accepted } = schema as FieldSchema;
  const fix = accepted ? ` Leave it out, or send ${accepted}.` : '';
  return invalidRequest(paramOf(path), `\`${path}\` is not supported: ${reason}.${fix}`);
}

/** The error for a request that fails validation, in terms of its fields. */
export function validationError({ validation, validationContext }: FastifyError): ServiceError {
  // If a value fits none of several forms, the last failure says so.
  const { keyword, instancePath, params, parentSchema, data } = validation!.at(-1) as unknown as Failure;
  const path = written(instancePath);
  const inside = (name: unknown) => (path === '' ? String(name) : `${path}.${name}`);
  const param = paramOf(path);

  if (keyword === 'required') {
    const name = inside(params.missingProperty);
    return invalidRequest(name, `\`${name}\` is required.`);
  }
  if (keyword === 'additionalProperties') {
    const name = shortName(inside(params.additionalProperty));
    const meant = nearMiss(
      String(params.additionalProperty).slice(0, 64),
      Object.keys(parentSchema?.properties ?? {}),
    );
    return invalidRequest(
      name,
      `\`${name}\` is not a known field${meant ? `; did you mean \`${meant}\`?` : '.'}`,
    );
  }
  if (parentSchema?.['x-unsupported']) {
    return unsupportedField(path, parentSchema);
  }
  const subject = path === '' ? `The request ${validationContext}` : `\`${shortName(path)}\``;
  const expected = parentSchema ? schemaExpectation(parentSchema) : 'valid';
  return invalidRequest(
    path === '' ? null : shortName(param),
    `${subject} must be ${expected}${found(data)}.`,
  );
}

/** The keywords in the schemas of requests. */
interface FieldSchema {
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
