import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import {
  type CompileGrammar,
  type Grammar,
  GrammarError,
  type GrammarSource,
  type SchemaSource,
} from '../../sampling/grammar.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { paramOf } from '../errors/validation-error.ts';
import { maxDepth, tooDeep } from '../json/json-body.ts';
import type { ReadyModel } from '../models/find-model.ts';
import { closeObjects, SchemaError } from './closed-schema.ts';
import type { GenerationFields } from './generation-fields.ts';
import type { ResponseFormat, StructuredOutputs } from './structure-fields.ts';

interface GrammarContext {
  model: Pick<ReadyModel, 'name' | 'backend'>;
  compileGrammar: CompileGrammar;
  owner: TextOwner;
}

/** Maximum length of a source as the client sent it, written as JSON, in characters. */
const maxCharacters = 65_536;

const anyObject = { json: '{"type":"object"}' };

export function refuseLong(param: string, source: unknown): void {
  const { length } = JSON.stringify(source);
  if (length <= maxCharacters) return;
  throw invalidRequest(param, `\`${param}\` has ${length} characters; it may have at most ${maxCharacters}.`);
}

/** A schema as JSON, with its objects closed. @param schema already checked for length */
const closed = (param: string, schema: object, isStrict: boolean): SchemaSource => ({
  json: JSON.stringify(closedSchema(param, param, schema, isStrict)),
  ...(isStrict ? { isStrict } : {}),
});

/**
 * A schema with its objects closed.
 * @param where the schema's place, for errors
 * @throws ServiceError `invalid_request` if it cannot be closed
 */
export function closedSchema(param: string, where: string, schema: object, isStrict: boolean): object {
  try {
    return closeObjects(schema, isStrict);
  } catch (error) {
    if (error instanceof SchemaError) throw invalidRequest(param, cannotBeCompiled(where, error));
    throw error;
  }
}

export const cannotBeCompiled = (param: string, { message }: Error) =>
  `\`${param}\` cannot be compiled: ${message.slice(0, 500)}`;

function ofSchema(param: string, schema: object, isStrict = false): SchemaSource {
  refuseLong(param, { json: JSON.stringify(schema) });
  return closed(param, schema, isStrict);
}

/** @param json as the client wrote it. If it is not an object, the compiler says what is wrong with it. */
function ofSchemaText(param: string, json: string): GrammarSource {
  refuseLong(param, { json });
  if (tooDeep(Buffer.from(json)) !== null)
    throw invalidRequest(param, `\`${param}\` is nested more than ${maxDepth} levels deep.`);
  let schema: unknown;
  try {
    schema = JSON.parse(json);
  } catch {
    return { json };
  }
  const isObject = typeof schema === 'object' && schema !== null && !Array.isArray(schema);
  return isObject ? closed(param, schema as object, false) : { json };
}

function ofStructuredOutputs(outputs: StructuredOutputs): GrammarSource {
  const { json, regex, choice, grammar, json_object: isObject } = outputs;
  const sources: GrammarSource[] = [];
  if (typeof json === 'string') sources.push(ofSchemaText('structured_outputs', json));
  else if (json != null) sources.push(ofSchema('structured_outputs', json));
  if (regex != null) sources.push({ regex });
  if (choice != null) sources.push({ choice });
  if (grammar != null) sources.push({ lark: grammar });
  if (isObject) sources.push(anyObject);
  const [source, ...others] = sources;
  if (source && others.length === 0) return source;
  throw invalidRequest(
    'structured_outputs',
    '`structured_outputs` must have exactly one of `json`, `regex`, `choice`, `grammar` and `json_object`.',
  );
}

/** The grammar that a request needs. */
export interface WantedGrammar {
  /** The field that asks for it. */
  param: string;
  source: GrammarSource;
  /** The field, or its part, that a compiler's error is about; by default `param`. */
  placeOf?: (error: GrammarError) => string;
}

/** The grammar of a document. */
export interface WantedFormat extends WantedGrammar {
  source: SchemaSource;
}

/** The format of an answer's text, whatever the field that asks for it. */
interface TextFormat {
  type: 'text' | 'json_object' | 'json_schema';
  schema?: object | null | undefined;
  strict?: boolean | null | undefined;
}

/**
 * @param param the field that asks for the format
 * @param place of its schema, for errors
 * @throws ServiceError `invalid_request` for faults that show without compiling the grammar
 */
export function readFormat(
  param: string,
  place: string,
  { type, schema, strict }: TextFormat,
): WantedFormat | null {
  if (type === 'text') return null;
  if (schema) return { param, source: ofSchema(param, schema, strict ?? false) };
  if (type === 'json_object') return { param, source: anyObject };
  throw invalidRequest(param, `\`${place}\` is required with this type.`);
}

/** What `response_format` asks for. */
export function readResponseFormat(format: ResponseFormat | null | undefined): WantedFormat | null {
  if (!format) return null;
  const { type, json_schema: wrapped, schema } = format;
  if (schema && type !== 'json_object') {
    throw invalidRequest(
      'response_format',
      `\`response_format.schema\` needs the type \`json_object\`, not \`${type}\`.`,
    );
  }
  const described = type === 'json_object' ? { schema } : wrapped;
  return readFormat('response_format', 'response_format.json_schema.schema', { type, ...described });
}

/**
 * What holds the text of an answer to a structure.
 * @param format what its format asks for
 * @throws ServiceError `invalid_request` for faults that show without compiling the grammar
 */
export function readStructure(
  format: WantedGrammar | null,
  outputs: StructuredOutputs | null | undefined,
): WantedGrammar | null {
  if (!outputs) return format;
  const param = 'structured_outputs';
  if (format) {
    const { param: other } = format;
    throw invalidRequest(param, `\`${param}\` and \`${other}\` both constrain the text; send one of them.`);
  }
  const source = ofStructuredOutputs(outputs);
  if (!('json' in source)) refuseLong(param, source);
  return { param, source };
}

/**
 * Compiles the grammar that a request needs.
 * @throws ServiceError `invalid_request` with the reason if it is impossible, `compiler_busy` if it is impossible now
 */
export async function readGrammar(
  fields: GenerationFields,
  { param, source, placeOf = () => param }: WantedGrammar,
  { model: { name, backend }, compileGrammar, owner }: GrammarContext,
): Promise<Grammar> {
  if (backend !== 'native') {
    throw invalidRequest(
      param,
      `\`${param}\` needs the native backend, but this service runs '${name}' with ${backend}: build the native addon (npm run build:native) or leave \`${param}\` out.`,
    );
  }
  if (fields.ignore_eos) {
    throw invalidRequest(
      'ignore_eos',
      `\`ignore_eos\` cannot be combined with \`${param}\`: the text ends where its structure ends.`,
    );
  }
  if (fields.min_tokens) {
    throw invalidRequest(
      'min_tokens',
      `\`min_tokens\` cannot be combined with \`${param}\`: the text ends where its structure ends.`,
    );
  }
  try {
    return await compileGrammar(name, source, owner);
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    const place = placeOf(error);
    throw invalidRequest(paramOf(place), cannotBeCompiled(place, error));
  }
}
