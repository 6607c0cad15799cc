import { type ChatMessage, ChatTemplateError } from '../../catalog/chat-template.ts';
import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { ChatRequest } from '../schemas/chat-request.ts';
import { readMessages } from './read-messages.ts';

/** The text up to the end of the last message's content, for the model to go on with. */
function uptoFinalContent(text: string, { content }: ChatMessage): string {
  const final = (typeof content === 'string' ? content : content.at(-1)!.text).trim();
  const at = text.lastIndexOf(final);
  if (final !== '' && at >= 0) return text.slice(0, at + final.length);
  throw invalidRequest(
    'continue_final_message',
    '`continue_final_message` needs a last message with text that the chat template keeps as it is.',
  );
}

/** The chat as the model reads it. @throws ServiceError where the model has no template, or its template refuses */
export function renderChat(body: ChatRequest, { name, chatTemplate }: ReadyModel): string {
  if (!chatTemplate) {
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
  const messages = readMessages(body.messages);
  try {
    const text = chatTemplate.render(messages, {
      addGenerationPrompt,
      variables: body.chat_template_kwargs ?? {},
    });
    return continues ? uptoFinalContent(text, messages.at(-1)!) : text;
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    throw invalidRequest('messages', `The model's chat template refuses the messages: ${error.message}`);
  }
}
