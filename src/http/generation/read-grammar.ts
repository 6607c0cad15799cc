import { type Grammar, GrammarError, type GrammarSource } from '../../sampling/grammar.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { GenerationFields } from '../schemas/generation-fields.ts';
import type { ResponseFormat, StructuredOutputs } from '../schemas/structure-fields.ts';
import type { JobContext } from './generation-job.ts';

/** Longest source, as JSON, in characters. */
const mostCharacters = 65_536;

const anyObject = { json: '{"type":"object"}' };

function ofResponseFormat({ type, json_schema: wrapped }: ResponseFormat): GrammarSource | null {
  if (type === 'text') return null;
  if (type === 'json_object') return anyObject;
  if (wrapped?.schema) return { json: JSON.stringify(wrapped.schema) };
  throw invalidRequest('response_format', '`response_format.json_schema.schema` is required with this type.');
}

function ofStructuredOutputs(outputs: StructuredOutputs): GrammarSource {
  const { json, regex, choice, grammar, json_object: isObject } = outputs;
  const sources: GrammarSource[] = [];
  if (json != null) sources.push({ json: typeof json === 'string' ? json : JSON.stringify(json) });
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

/** @throws ServiceError where it would be refused whatever the grammar is */
function readSource(fields: GenerationFields): { param: string; source: GrammarSource } | null {
  const { response_format: format, structured_outputs: outputs } = fields;
  const formatSource = format ? ofResponseFormat(format) : null;
  if (!outputs) return formatSource && { param: 'response_format', source: formatSource };
  if (!formatSource) return { param: 'structured_outputs', source: ofStructuredOutputs(outputs) };
  throw invalidRequest(
    'structured_outputs',
    '`structured_outputs` and `response_format` both say what the text must be like; send one of them.',
  );
}

/**
 * The grammar that `response_format` or `structured_outputs` asks for, compiled; null for none.
 * @throws ServiceError `invalid_request` with the reason where it cannot be had, `compiler_busy` where it cannot be had now
 */
export async function readGrammar(
  fields: GenerationFields,
  { model: { name, backend }, compileGrammar, owner }: JobContext,
): Promise<Grammar | null> {
  const wanted = readSource(fields);
  if (wanted === null) return null;
  const { param, source } = wanted;
  if (backend !== 'native') {
    throw invalidRequest(
      param,
      `\`${param}\` needs the native backend, and this service runs '${name}' with ${backend}: build the native addon (npm run build:native) or leave \`${param}\` out.`,
    );
  }
  if (fields.ignore_eos) {
    throw invalidRequest(
      'ignore_eos',
      `\`ignore_eos\` does not go with \`${param}\`: the text ends where its structure does.`,
    );
  }
  if (fields.min_tokens) {
    throw invalidRequest(
      'min_tokens',
      `\`min_tokens\` does not go with \`${param}\`: the text ends where its structure does.`,
    );
  }
  const { length } = JSON.stringify(source);
  if (length > mostCharacters) {
    throw invalidRequest(
      param,
      `\`${param}\` has ${length} characters; at most ${mostCharacters} are taken.`,
    );
  }
  try {
    return await compileGrammar(name, source, owner);
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    throw invalidRequest(param, `\`${param}\` cannot be compiled: ${error.message.slice(0, 500)}`);
  }
}
