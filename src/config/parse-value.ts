import { ConfigurationError } from '../errors.ts';
import type { SettingSchema } from './settings.ts';

/** What the schema accepts, in words. */
function expectation(schema: SettingSchema): string {
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum}`;
  return 'a text that is not empty';
}

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

function parse(schema: SettingSchema, text: string): string | number | boolean | undefined {
  switch (schema.type) {
    case 'boolean':
      return booleans.get(text);
    case 'integer': {
      if (!/^-?\d{1,15}$/.test(text)) return undefined;
      const value = Number(text);
      return value < schema.minimum! || value > schema.maximum! ? undefined : value;
    }
    case 'string':
      return text === '' || (schema.enum && !schema.enum.includes(text)) ? undefined : text;
  }
}

/**
 * @param source the variable or flag the text comes from
 * @throws ConfigurationError that names the source, the value found (unless secret) and what is expected
 */
export function parseValue(schema: SettingSchema, source: string, text: string): string | number | boolean {
  const value = parse(schema, text);
  if (value !== undefined) return value;
  const reason = Object.hasOwn(schema.unavailable ?? {}, text) ? ` (${schema.unavailable?.[text]})` : '';
  const found = schema.secret ? 'its value is not valid' : `'${text.slice(0, 100)}' is not valid${reason}`;
  throw new ConfigurationError(`${source}: ${found}; expected ${expectation(schema)}`);
}
