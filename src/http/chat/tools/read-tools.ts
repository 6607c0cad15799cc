import type { SchemaSource } from '../../../sampling/grammar.ts';
import { invalidRequest } from '../../errors/invalid-request.ts';
import type { GenerationFields } from '../../generation/generation-fields.ts';
import { closedSchema, readResponseFormat, refuseLong } from '../../generation/read-grammar.ts';
import { annotations } from './escaped-arguments.ts';
import type { Tool, ToolChoice } from './tool-fields.ts';

/** A function that the model may call. */
export interface Callable {
  /** Its place in `tools`. */
  index: number;
  name: string;
  /** The schema of its arguments: an object, closed. */
  parameters: Record<string, unknown>;
  /** Its whole schema is enforced, or refused. */
  isStrict: boolean;
}

/** A tool as templates get it. Some read each of these fields, and some write all fields that there are. */
export interface TemplateTool {
  type: 'function';
  function: { name: string; description: string; parameters: Record<string, unknown> };
}

/** How an answer may use tools. */
export interface ToolUse {
  tools: readonly TemplateTool[];
  /** Those of `tools` that the request allows. */
  callable: readonly Callable[];
  /** The answer is a call; otherwise text, or text and then calls. */
  mustCall: boolean;
  /** It may have several calls. */
  isParallel: boolean;
  /** What the answer is if it is not calls; null: it may have text. */
  format: SchemaSource | null;
}

export interface ToolRequest
  extends Pick<GenerationFields, 'response_format' | 'structured_outputs' | 'skip_special_tokens'> {
  tools?: Tool[] | null;
  tool_choice?: ToolChoice | null;
  parallel_tool_calls?: boolean | null;
}

/** @returns null if no tool may be called. @throws ServiceError `invalid_request` for faults that no schema detects */
export function readToolUse(body: ToolRequest): ToolUse | null {
  const tools = body.tools ?? [];
  const choice = body.tool_choice ?? 'auto';
  const { mode, names } = readChoice(choice);
  refuseDuplicates(tools);
  if (mode === 'none') return null;
  if (tools.length === 0) {
    if (choice === 'auto') return null;
    throw invalidRequest('tool_choice', '`tool_choice` needs `tools`: name the functions to choose from.');
  }
  refuseLong('tools', tools);
  if (body.structured_outputs) {
    throw invalidRequest(
      'structured_outputs',
      '`structured_outputs` cannot be combined with `tools`: send `response_format`, leave one of them out, or send `"tool_choice": "none"`.',
    );
  }
  const described = tools.map(forTemplate);
  const all = tools.map(({ function: { name, strict } }, index): Callable => {
    const isStrict = strict ?? false;
    const { parameters } = described[index]!.function;
    const closed = closedSchema('tools', parametersOf(index), parameters, isStrict);
    return { index, name, parameters: closed as Callable['parameters'], isStrict };
  });
  const missing = names?.find((name) => all.every((tool) => tool.name !== name));
  if (missing !== undefined) {
    throw invalidRequest(
      'tool_choice',
      `\`tool_choice\` names the function \`${missing}\`, which is not in \`tools\`.`,
    );
  }
  return {
    tools: described,
    callable: names ? all.filter(({ name }) => names.includes(name)) : all,
    mustCall: mode === 'required',
    isParallel: !isNamed(choice) && (body.parallel_tool_calls ?? true),
    format: body.response_format ? readResponseFormat(body.response_format) : null,
  };
}

const isNamed = (choice: ToolChoice) => typeof choice === 'object' && choice.type === 'function';

/** @returns the functions that it allows as `names`; null: all */
function readChoice(choice: ToolChoice): { mode: 'none' | 'auto' | 'required'; names: string[] | null } {
  if (typeof choice === 'string') return { mode: choice, names: null };
  if (choice.type === 'function') return { mode: 'required', names: [choice.function.name] };
  const { mode, tools } = choice.allowed_tools;
  return { mode, names: tools.map((tool) => tool.function.name) };
}

function refuseDuplicates(tools: readonly Tool[]): void {
  const names = new Set<string>();
  for (const [index, tool] of tools.entries()) {
    const { name } = tool.function;
    if (names.has(name)) {
      throw invalidRequest(
        'tools',
        `\`tools[${index}].function.name\` is \`${name}\`, which an earlier tool has: rename one.`,
      );
    }
    names.add(name);
  }
}

/** The place of a tool's schema in a request. */
export const parametersOf = (index: number) => `tools[${index}].function.parameters`;

function forTemplate({ function: { name, description, parameters } }: Tool, index: number): TemplateTool {
  const schema = argumentsSchema(parameters, parametersOf(index));
  return { type: 'function', function: { name, description: description ?? '', parameters: schema } };
}

/** The schema of a function's arguments. A schema that says nothing of them means that there are none. */
function argumentsSchema(parameters: Tool['function']['parameters'], where: string): Record<string, unknown> {
  const { type = 'object', ...others } = parameters ?? {};
  if (type !== 'object') {
    throw invalidRequest('tools', `\`${where}.type\` must be \`"object"\`: arguments are always an object.`);
  }
  const saysNothing = Object.keys(others).every((keyword) => annotations.includes(keyword));
  return { type, ...(saysNothing ? { properties: {} } : {}), ...others };
}
