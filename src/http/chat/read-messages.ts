import type { ContentPart } from '../../catalog/tokenizer/content-form.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { withoutEffectInParts } from '../generation/fields-without-effect.ts';
import type { RequestMessage } from './chat-request.ts';
import type { ReadMessage } from './tools/render-tools.ts';

function readPart(part: ContentPart, where: string): ContentPart {
  const { type, text, ...others } = part as { type: string; text?: unknown };
  if (type !== 'text') {
    throw invalidRequest(
      'messages',
      `\`${where}\` has the type \`${type.slice(0, 64)}\`, which is not supported: the served models read only text.`,
    );
  }
  if (typeof text !== 'string') throw invalidRequest('messages', `\`${where}.text\` must be a string.`);
  const unknown = Object.keys(others).find((name) => !Object.hasOwn(withoutEffectInParts, name));
  if (unknown === undefined) return { type, text };
  throw invalidRequest('messages', `\`${where}.${unknown.slice(0, 64)}\` is not a known field.`);
}

/** The messages, in parts if the client sent parts. @throws ServiceError naming what is wrong with one */
export function readMessages(messages: readonly RequestMessage[]): ReadMessage[] {
  return messages.map((message, index) => {
    const { role, content, name, tool_calls: calls, tool_call_id: callId } = message;
    refuseMisplaced(message, `messages[${index}]`);
    return {
      // Newer clients send `developer`; templates know the older `system`.
      role: role === 'developer' ? 'system' : role,
      content:
        typeof content === 'object' && content !== null
          ? content.map((part, i) => readPart(part, `messages[${index}].content[${i}]`))
          : (content ?? ''),
      ...(name ? { name } : {}),
      ...(callId ? { tool_call_id: callId } : {}),
      calls: (calls ?? []).map((call, i) => ({
        ...call,
        place: `messages[${index}].tool_calls[${i}].function.arguments`,
      })),
    };
  });
}

/** @throws ServiceError if a message lacks what its role needs, or has what belongs to another one */
function refuseMisplaced(
  { role, content, tool_calls: calls, tool_call_id: callId }: RequestMessage,
  where: string,
): void {
  if (calls?.length && role !== 'assistant')
    throw invalidRequest(
      'messages',
      `\`${where}.tool_calls\` needs the role \`assistant\`, not \`${role}\`.`,
    );
  if (callId && role !== 'tool')
    throw invalidRequest('messages', `\`${where}.tool_call_id\` needs the role \`tool\`, not \`${role}\`.`);
  if (!callId && role === 'tool')
    throw invalidRequest(
      'messages',
      `\`${where}.tool_call_id\` is required: the \`id\` of the call whose result this is.`,
    );
  if (content == null && !calls?.length)
    throw invalidRequest(
      'messages',
      `\`${where}.content\` must be a string or a list of parts with a \`type\`${content === null ? ', not null' : ''}; only a message with \`tool_calls\` needs none.`,
    );
}
