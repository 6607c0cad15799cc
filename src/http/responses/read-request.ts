import { readToolUse, type ToolUse } from '../chat/tools/read-tools.ts';
import type { Tool } from '../chat/tools/tool-fields.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { GenerationJob } from '../generation/generation-job.ts';
import { readFormat, type WantedGrammar } from '../generation/read-grammar.ts';
import type { ResponseEcho } from './response-object.ts';
import type { FunctionTool, ResponsesRequest } from './responses-request.ts';

export function readLogprobs({ include, top_logprobs: top }: ResponsesRequest): number | null {
  if (include?.includes('message.output_text.logprobs')) return top ?? 0;
  if (!top) return null;
  throw invalidRequest('top_logprobs', '`top_logprobs` needs `"include": ["message.output_text.logprobs"]`.');
}

export function readTextFormat({ text }: ResponsesRequest): WantedGrammar | null {
  const format = text?.format;
  if (!format) return null;
  const isSchema = format.type === 'json_schema';
  if (isSchema && !format.name)
    throw invalidRequest('text.format', '`text.format.name` is required with this type.');
  if (!isSchema && format.schema) {
    throw invalidRequest(
      'text.format',
      `\`text.format.schema\` needs the type \`json_schema\`, not \`${format.type}\`.`,
    );
  }
  return readFormat('text.format', 'text.format.schema', format);
}

/** A function in the form of chats. */
const chatTool = ({ type, ...described }: FunctionTool): Tool => ({ type, function: described });

export function readTools(body: ResponsesRequest, structure: WantedGrammar | null): ToolUse | null {
  const choice = body.tool_choice ?? 'auto';
  const asked =
    typeof choice === 'string'
      ? { mode: choice, names: null }
      : choice.type === 'function'
        ? { mode: 'required' as const, names: [choice.name] }
        : { mode: choice.mode, names: choice.tools.map(({ name }) => name) };
  const isNamed = typeof choice !== 'string' && choice.type === 'function';
  return readToolUse({
    tools: (body.tools ?? []).map(chatTool),
    placeOf: (index) => `tools[${index}]`,
    ...asked,
    isParallel: !isNamed && (body.parallel_tool_calls ?? true),
    structure,
    formatParam: 'text.format',
  });
}

/** The fields that the answer repeats, with the values that count. */
export function echoOf(body: ResponsesRequest, { requests }: GenerationJob): ResponseEcho {
  const { temperature, topP } = requests[0]!.sampling;
  return {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    temperature,
    text: { format: formatEcho(body.text?.format) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: (body.tools ?? []).map(({ name, description, parameters, strict }) => ({
      type: 'function',
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? false,
    })),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: topP,
  };
}

function formatEcho(format: NonNullable<ResponsesRequest['text']>['format']): ResponseEcho['text']['format'] {
  if (!format || format.type === 'text') return { type: 'text' };
  if (format.type === 'json_object') return { type: 'json_object' };
  return {
    type: 'json_schema',
    name: format.name!,
    ...(format.description ? { description: format.description } : {}),
    schema: { ...format.schema },
    strict: format.strict ?? false,
  };
}
