import type { TextOwner } from '../../../catalog/texts/text-workers.ts';
import type { ChatMessage } from '../../../catalog/tokenizer/chat-template.ts';
import type { CallForm } from '../../../catalog/tokenizer/tool-template.ts';
import type { WantedGrammar } from '../../generation/read-grammar.ts';
import type { ReadyModel } from '../../models/find-model.ts';
import { callGrammar, hasSpecialTokens, placeOfFault } from './call-grammar.ts';
import type { ToolUse } from './read-tools.ts';
import { agreedForm, inAgreedForm, inOwnForm, type ReadMessage } from './render-tools.ts';

/** A chat in the form of its model's template, and how calls in the answer are read. */
export interface ToolCalling {
  messages: readonly ChatMessage[];
  /** For templates that describe tools themselves. */
  tools: readonly object[] | undefined;
  /** null: the answer has no calls. */
  answer: { form: CallForm; grammar: WantedGrammar; keepsSpecialTokens: boolean } | null;
}

/** @param use null: the answer may have no calls */
export async function readToolCalling(
  use: ToolUse | null,
  messages: readonly ReadMessage[],
  { texts, vocabulary }: ReadyModel,
  owner: TextOwner,
): Promise<ToolCalling> {
  const hasCalls = messages.some(({ role, calls }) => role === 'tool' || calls.length > 0);
  if ((!use && !hasCalls) || !texts.render)
    return { messages: messages.map(({ calls: _, ...message }) => message), tools: undefined, answer: null };
  const { form, takesSystem } = await texts.toolTemplate(owner);
  const written = form
    ? { messages: inOwnForm(messages), tools: use?.tools }
    : { messages: inAgreedForm(messages, use?.tools ?? [], takesSystem), tools: undefined };
  return { ...written, answer: use && readAnswer(use, form ?? agreedForm, vocabulary) };
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
