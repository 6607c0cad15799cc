import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import {
  type ChatMessage,
  ChatTemplateError,
  FinalMessageError,
  reservedVariables,
} from '../../catalog/tokenizer/chat-template.ts';
import type { ContentPart } from '../../catalog/tokenizer/content-form.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { withoutEffectInParts } from '../generation/fields-without-effect.ts';
import type { ReadyModel } from '../models/find-model.ts';
import type { ChatRequest, RequestMessage } from './chat-request.ts';

/** The chat as text for the model. @throws ServiceError if the model has no template, or its template refuses */
export async function renderChat(
  body: ChatRequest,
  { name, texts }: ReadyModel,
  owner: TextOwner,
): Promise<string> {
  if (!texts.render) {
    throw invalidRequest(
      'model',
      `'${name}' has no chat template: use /v1/completions, or put a chat_template.jinja into the model's folder.`,
    );
  }
  const continues = body.continue_final_message ?? false;
  const addGenerationPrompt = body.add_generation_prompt ?? true;
  if (continues && addGenerationPrompt) {
    throw invalidRequest(
      'continue_final_message',
      '`continue_final_message` needs `add_generation_prompt` to be false.',
    );
  }
  const variables = body.chat_template_kwargs ?? {};
  const reserved = reservedVariables.find((name) => Object.hasOwn(variables, name));
  if (reserved) {
    throw invalidRequest(
      'chat_template_kwargs',
      `\`chat_template_kwargs.${reserved}\` is not allowed: the service sets \`${reserved}\` itself.`,
    );
  }
  const rendering = { addGenerationPrompt, continuesFinal: continues, variables };
  try {
    return await texts.render(readMessages(body.messages), rendering, owner);
  } catch (error) {
    if (error instanceof FinalMessageError) {
      throw invalidRequest(
        'continue_final_message',
        '`continue_final_message` needs a last message with text that the chat template keeps as it is.',
      );
    }
    if (!(error instanceof ChatTemplateError)) throw error;
    throw invalidRequest('messages', `The model's chat template refuses the messages: ${error.message}`);
  }
}

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

/** Text messages for a chat template, in parts if the client sent parts. @throws ServiceError naming an invalid part */
function readMessages(messages: readonly RequestMessage[]): ChatMessage[] {
  return messages.map(({ role, content, name }, index) => ({
    // Newer clients send `developer`; templates know the older `system`.
    role: role === 'developer' ? 'system' : role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part, i) => readPart(part, `messages[${index}].content[${i}]`)),
    ...(name ? { name } : {}),
  }));
}
