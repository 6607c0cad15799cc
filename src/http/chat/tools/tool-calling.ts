import type { TextOwner } from '../../../catalog/texts/text-workers.ts';
import type { ChatMessage } from '../../../catalog/tokenizer/chat-template.ts';
import type { WantedGrammar } from '../../generation/read-grammar.ts';
import type { ReadyModel } from '../../models/find-model.ts';
import { type AnswerForm, answerForm } from './answer-form.ts';
import { callGrammar, placeOfFault } from './call-grammar.ts';
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
  answer: { form: AnswerForm; grammar: WantedGrammar; specialTexts: ReadonlyMap<number, string> } | null;
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
  const { form, takesTextArguments, takesSystem } = await texts.toolTemplate(owner);
  const tools = use?.tools ?? [];
  const forTemplate: ToolCalling['forTemplate'] = (messages) =>
    form
      ? { messages: inOwnForm(messages, takesTextArguments), tools: use ? tools : undefined }
      : { messages: inAgreedForm(messages, tools, takesSystem), tools: undefined };
  if (!use) return { forTemplate, answer: null };
  const inAnswer = answerForm(form ?? agreedForm, vocabulary, {
    // JSON may have a text that begins a call elsewhere.
    isAtStart: use.format !== null,
    showsSpecials: body.skip_special_tokens === false,
  });
  return { forTemplate, answer: readAnswer(use, inAnswer) };
}

function readAnswer(use: ToolUse, form: AnswerForm): NonNullable<ToolCalling['answer']> {
  return {
    form,
    grammar: {
      param: 'tools',
      source: callGrammar(use, form),
      placeOf: ({ message }) => placeOfFault(message, use),
    },
    specialTexts: new Map(form.specials.map(({ id, letter }) => [id, letter])),
  };
}
