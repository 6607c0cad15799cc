import type { TextOwner } from '../../../catalog/texts/text-workers.ts';
import type { ChatMessage } from '../../../catalog/tokenizer/chat-template.ts';
import type { CallForm } from '../../../catalog/tokenizer/tool-template.ts';
import type { WantedGrammar } from '../../generation/read-grammar.ts';
import type { ReadyModel } from '../../models/find-model.ts';
import { callGrammar, hasSpecialTokens, placeOfFault } from './call-grammar.ts';
import { readToolUse, type ToolRequest, type ToolUse } from './read-tools.ts';
import { agreedForm, inAgreedForm, inOwnForm, type ReadMessage } from './render-tools.ts';
import type { RequestCall } from './tool-fields.ts';

/** How a chat with tools is written for its model and read back. */
export interface ToolCalling {
  forTemplate(messages: readonly ReadMessage[]): {
    messages: ChatMessage[];
    tools: readonly object[] | undefined;
  };
  /** null: the answer has no calls. */
  answer: { form: CallForm; grammar: WantedGrammar; keepsSpecialTokens: boolean } | null;
}

interface Chat extends ToolRequest {
  messages: readonly { role: string; tool_calls?: RequestCall[] | null }[];
}

/** @returns null for a chat without tools and calls. @throws ServiceError `invalid_request` naming what is wrong */
export async function readToolCalling(
  body: Chat,
  { texts, vocabulary }: ReadyModel,
  owner: TextOwner,
): Promise<ToolCalling | null> {
  const use = readToolUse(body);
  const hasCalls = body.messages.some(({ role, tool_calls: calls }) => role === 'tool' || calls?.length);
  if ((!use && !hasCalls) || !texts.render) return null;
  const { form, takesSystem } = await texts.toolTemplate(owner);
  const tools = use?.tools ?? [];
  const forTemplate: ToolCalling['forTemplate'] = (messages) =>
    form
      ? { messages: inOwnForm(messages), tools: use ? tools : undefined }
      : { messages: inAgreedForm(messages, tools, takesSystem), tools: undefined };
  return { forTemplate, answer: use && readAnswer(use, form ?? agreedForm, vocabulary) };
}

function readAnswer(
  use: ToolUse,
  form: CallForm,
  vocabulary: ReadyModel['vocabulary'],
): ToolCalling['answer'] {
  return {
    form,
    grammar: {
      param: 'tools',
      source: callGrammar(use, form, vocabulary),
      placeOf: ({ message }) => placeOfFault(message, use),
    },
    keepsSpecialTokens: hasSpecialTokens(form, vocabulary),
  };
}
