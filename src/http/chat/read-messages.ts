import type { ChatMessage } from '../../catalog/chat-template.ts';
import type { ContentPart } from '../../catalog/content-form.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { RequestMessage } from '../schemas/chat-request.ts';
import { withoutEffectInParts } from '../schemas/fields-without-effect.ts';

function readPart(part: ContentPart, where: string): ContentPart {
  const { type, text, ...others } = part as { type: string; text?: unknown };
  if (type !== 'text') {
    throw invalidRequest(
      'messages',
      `\`${where}\` is of the type \`${type.slice(0, 64)}\`, which is not supported: the models served read text alone.`,
    );
  }
  if (typeof text !== 'string') throw invalidRequest('messages', `\`${where}.text\` must be a string.`);
  const unknown = Object.keys(others).find((name) => !Object.hasOwn(withoutEffectInParts, name));
  if (unknown === undefined) return { type, text };
  throw invalidRequest('messages', `\`${where}.${unknown.slice(0, 64)}\` is not a known field.`);
}

/** The messages for a chat template: text alone, in parts where the client sent parts. @throws ServiceError naming a part that is none */
export function readMessages(messages: readonly RequestMessage[]): ChatMessage[] {
  return messages.map(({ role, content, name }, index) => ({
    // Newer clients' word; templates know the older one.
    role: role === 'developer' ? 'system' : role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part, i) => readPart(part, `messages[${index}].content[${i}]`)),
    ...(name ? { name } : {}),
  }));
}
