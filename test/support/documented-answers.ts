import { Ajv, type ValidateFunction } from 'ajv';
import type { App } from '../../src/http/server-dependencies.ts';

interface Described {
  content?: Record<string, { schema?: object }>;
}

/** The schema with its objects closed: an answer may only hold members that the schema describes. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).map(([name, value]) => [
    name,
    name === 'examples' ? value : closed(value),
  ]);
  const copy: Record<string, unknown> = Object.fromEntries(entries);
  if (copy.type === 'object' && copy.properties && !('patternProperties' in copy)) {
    copy.additionalProperties ??= false;
  }
  return copy;
}

/**
 * Turns each answer that the API's description does not allow into a 500. Each test that reads an answer thereby also
 * checks it against the description: its status, all required members, and no others.
 */
export function documentedAnswersOnly(app: App): void {
  const ajv = new Ajv({ strict: false, allowUnionTypes: true });
  const known = new WeakMap<object, ValidateFunction>();
  const validator = (schema: object) => {
    const validate = known.get(schema) ?? ajv.compile(closed(schema) as object);
    known.set(schema, validate);
    return validate;
  };
  app.addHook('onReady', () => {
    for (const shared of Object.values(app.getSchemas())) ajv.addSchema(closed(shared) as object);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const { url, schema } = request.routeOptions;
    const documented = schema?.response as Record<number, Described> | undefined;
    if (!documented || reply.statusCode === 500) return;
    const described = documented[reply.statusCode];
    if (!described) throw new Error(`${url} does not document the status ${reply.statusCode}`);
    const answer = described.content ? described.content['application/json']?.schema : described;
    if (!answer || !(typeof payload === 'string' || Buffer.isBuffer(payload))) return;
    const validate = validator(answer);
    if (validate(JSON.parse(String(payload)))) return;
    throw new Error(`${url} does not document this answer: ${ajv.errorsText(validate.errors)}`);
  });
}
