import { ChatTemplateError, FinalMessageError, reservedVariables } from '../../catalog/chat-template.ts';
import type { TextOwner } from '../../catalog/text-workers.ts';
import type { ReadyModel } from '../find-model.ts';
import { invalidRequest } from '../invalid-request.ts';
import type { ChatRequest } from '../schemas/chat-request.ts';
import { readMessages } from './read-messages.ts';

/** The chat as the model reads it. @throws ServiceError where the model has no template, or its template refuses */
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
      `\`chat_template_kwargs.${reserved}\` is not taken: the template has \`${reserved}\` from elsewhere.`,
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
