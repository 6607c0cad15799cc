import { invalidRequest } from '../../errors/invalid-request.ts';
import type { GenerationFields } from '../../generation/generation-fields.ts';
import { closedSchema, refuseLong } from '../../generation/read-grammar.ts';
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
  refuseDuplicates(tools);
  if (choice === 'none') return null;
  if (tools.length === 0) {
    if (choice === 'auto') return null;
    throw invalidRequest('tool_choice', '`tool_choice` needs `tools`: name the functions to choose from.');
  }
  refuseLong('tools', tools);
  for (const param of ['response_format', 'structured_outputs'] as const) {
    if (!body[param] || (param === 'response_format' && body[param]?.type === 'text')) continue;
    throw invalidRequest(
      param,
      `\`${param}\` cannot be combined with \`tools\`: leave one of them out, or send \`"tool_choice": "none"\`.`,
    );
  }
  const callable = tools.map(readTool);
  const named = typeof choice === 'string' ? null : choice.function.name;
  const allowed = named === null ? callable : callable.filter(({ name }) => name === named);
  if (allowed.length === 0) {
    throw invalidRequest(
      'tool_choice',
      `\`tool_choice\` names the function \`${named}\`, which is not in \`tools\`.`,
    );
  }
  return {
    tools,
    callable: allowed,
    mustCall: choice !== 'auto',
    isParallel: named === null && (body.parallel_tool_calls ?? true),
  };
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

function readTool({ function: { name, parameters, strict } }: Tool, index: number): Callable {
  const where = parametersOf(index);
  const given = parameters ?? { properties: {}, additionalProperties: false };
  const { type = 'object' } = given;
  if (type !== 'object') {
    throw invalidRequest('tools', `\`${where}.type\` must be \`"object"\`: arguments are always an object.`);
  }
  const isStrict = strict ?? false;
  const closed = closedSchema('tools', where, { ...given, type }, isStrict);
  return { index, name, parameters: closed as Callable['parameters'], isStrict };
}
