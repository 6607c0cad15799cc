import { invalidRequest } from '../../errors/invalid-request.ts';
import {
  closedSchema,
  refuseLong,
  type WantedFormat,
  type WantedGrammar,
} from '../../generation/read-grammar.ts';
import { annotations } from './escaped-arguments.ts';
import type { Tool } from './tool-fields.ts';

/** A function that the model may call. */
export interface Callable {
  name: string;
  /** The schema of its arguments: an object, closed. */
  parameters: Record<string, unknown>;
  /** Its whole schema is enforced, or refused. */
  isStrict: boolean;
  /** The schema's place in the request, for errors. */
  place: string;
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
  format: WantedFormat | null;
}

/** What a request says about tools, whatever its API. */
export interface ToolRequest {
  tools: readonly Tool[];
  /** Place of a tool's function in the request, for errors. */
  placeOf(index: number): string;
  mode: 'none' | 'auto' | 'required';
  /** Names of the functions that it allows; null: all. */
  names: readonly string[] | null;
  isParallel: boolean;
  /** What holds the text to a structure; null: nothing. */
  structure: WantedGrammar | null;
  /** The field that asks for a format, the only structure that may stand next to tools. */
  formatParam: string;
}

/** @returns null if no tool may be called. @throws ServiceError `invalid_request` for faults that no schema detects */
export function readToolUse(request: ToolRequest): ToolUse | null {
  const { tools, placeOf, mode, names, isParallel } = request;
  refuseDuplicates(request);
  if (mode === 'none') return null;
  if (tools.length === 0) {
    if (mode === 'auto' && names === null) return null;
    throw invalidRequest('tool_choice', '`tool_choice` needs `tools`: name the functions to choose from.');
  }
  refuseLong('tools', tools);
  const format = readFormat(request);
  const described = tools.map((tool, index) => forTemplate(tool, `${placeOf(index)}.parameters`));
  const all = tools.map(({ function: { name, strict } }, index): Callable => {
    const isStrict = strict ?? false;
    const place = `${placeOf(index)}.parameters`;
    const { parameters } = described[index]!.function;
    const closed = closedSchema('tools', place, parameters, isStrict);
    return { name, parameters: closed as Callable['parameters'], isStrict, place };
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
    isParallel,
    format,
  };
}

function readFormat({ structure, formatParam }: ToolRequest): WantedFormat | null {
  if (!structure) return null;
  const { param, source } = structure;
  if (param === formatParam && 'json' in source) return { param, source };
  throw invalidRequest(
    param,
    `\`${param}\` cannot be combined with \`tools\`: send \`${formatParam}\`, leave one of them out, or send \`"tool_choice": "none"\`.`,
  );
}

function refuseDuplicates({ tools, placeOf }: ToolRequest): void {
  const names = new Set<string>();
  for (const [index, tool] of tools.entries()) {
    const { name } = tool.function;
    if (names.has(name)) {
      throw invalidRequest(
        'tools',
        `\`${placeOf(index)}.name\` is \`${name}\`, which an earlier tool has: rename one.`,
      );
    }
    names.add(name);
  }
}

function forTemplate({ function: { name, description, parameters } }: Tool, place: string): TemplateTool {
  const schema = argumentsSchema(parameters, place);
  return { type: 'function', function: { name, description: description ?? '', parameters: schema } };
}

/** The schema of a function's arguments. A schema that says nothing of them means that there are none. */
function argumentsSchema(parameters: Tool['function']['parameters'], place: string): Record<string, unknown> {
  const { type = 'object', ...others } = parameters ?? {};
  if (type !== 'object') {
    throw invalidRequest('tools', `\`${place}.type\` must be \`"object"\`: arguments are always an object.`);
  }
  const saysNothing = Object.keys(others).every((keyword) => annotations.includes(keyword));
  return { type, ...(saysNothing ? { properties: {} } : {}), ...others };
}
