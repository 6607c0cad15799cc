import { invalidRequest } from '../../errors/invalid-request.ts';
import { closedSchema, refuseLong } from '../../generation/read-grammar.ts';
import type { Tool } from './tool-fields.ts';

/** A function that the model may call. */
export interface Callable {
  name: string;
  /** The schema of its arguments: an object, closed. */
  parameters: Record<string, unknown>;
  /** The schema's place in the request, for errors. */
  place: string;
}

/** How an answer may use tools. */
export interface ToolUse {
  tools: readonly Tool[];
  /** Those of `tools` that the request allows. */
  callable: readonly Callable[];
  /** The answer is a call; otherwise text, or text and then calls. */
  mustCall: boolean;
  /** It may have several calls. */
  isParallel: boolean;
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
  /** The field that holds the text to a structure; null: none. */
  structuredBy: string | null;
}

/** @returns null if no tool may be called. @throws ServiceError `invalid_request` for faults that no schema detects */
export function readToolUse(request: ToolRequest): ToolUse | null {
  const { tools, placeOf, mode, names, isParallel, structuredBy } = request;
  refuseDuplicates(request);
  if (mode === 'none') return null;
  if (tools.length === 0) {
    if (mode === 'auto' && names === null) return null;
    throw invalidRequest('tool_choice', '`tool_choice` needs `tools`: name the functions to choose from.');
  }
  refuseLong('tools', tools);
  if (structuredBy !== null) {
    throw invalidRequest(
      structuredBy,
      `\`${structuredBy}\` cannot be combined with \`tools\`: leave one of them out, or send \`"tool_choice": "none"\`.`,
    );
  }
  const callable = tools.map((tool, index) => readTool(tool, `${placeOf(index)}.parameters`));
  const missing = names?.find((name) => !callable.some((each) => each.name === name));
  if (missing !== undefined) {
    throw invalidRequest(
      'tool_choice',
      `\`tool_choice\` names the function \`${missing}\`, which is not in \`tools\`.`,
    );
  }
  return {
    tools,
    callable: names === null ? callable : callable.filter(({ name }) => names.includes(name)),
    mustCall: mode === 'required',
    isParallel,
  };
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

function readTool({ function: { name, parameters, strict } }: Tool, place: string): Callable {
  const given = parameters ?? { properties: {}, additionalProperties: false };
  const { type = 'object' } = given;
  if (type !== 'object') {
    throw invalidRequest('tools', `\`${place}.type\` must be \`"object"\`: arguments are always an object.`);
  }
  const closed = closedSchema('tools', place, { ...given, type }, strict ?? false);
  return { name, parameters: closed as Callable['parameters'], place };
}
