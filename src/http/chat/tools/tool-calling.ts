import type { TextOwner } from '../../../catalog/texts/text-workers.ts';
import type { ChatMessage } from '../../../catalog/tokenizer/chat-template.ts';
import type { WantedGrammar } from '../../generation/read-grammar.ts';
import type { ReadyModel } from '../../models/find-model.ts';
import { type AnswerForm, answerForm } from './answer-form.ts';
import { callGrammar, placeOfFault } from './call-grammar.ts';
import type { ToolUse } from './read-tools.ts';
import { agreedForm, inAgreedForm, inOwnForm, type ReadMessage } from './render-tools.ts';

/** A chat in the form of its model's template, and how calls in the answer are read. */
export interface ToolCalling {
  messages: readonly ChatMessage[];
  /** For templates that describe tools themselves. */
  tools: readonly object[] | undefined;
  /** null: the answer has no calls. */
  answer: { form: AnswerForm; grammar: WantedGrammar; specialTexts: ReadonlyMap<number, string> } | null;
}

interface Chat {
  messages: readonly ReadMessage[];
  /** null: the answer may have no calls. */
  use: ToolUse | null;
  /** The client wants special tokens in its text. */
  showsSpecials: boolean;
}

export async function readToolCalling(
  { messages, use, showsSpecials }: Chat,
  { texts, vocabulary }: ReadyModel,
  owner: TextOwner,
): Promise<ToolCalling> {
  const hasCalls = messages.some(({ role, calls }) => role === 'tool' || calls.length > 0);
  if ((!use && !hasCalls) || !texts.render)
    return { messages: messages.map(({ calls: _, ...message }) => message), tools: undefined, answer: null };
  const template = await texts.toolTemplate(owner);
  const { form } = template;
  const written = form
    ? { messages: inOwnForm(messages, template), tools: use?.tools }
    : { messages: inAgreedForm(messages, use?.tools ?? [], template.takesSystem), tools: undefined };
  if (!use) return { ...written, answer: null };
  const inAnswer = answerForm(form ?? agreedForm, vocabulary, {
    // JSON may have a text that begins a call elsewhere.
    isAtStart: use.format !== null,
    showsSpecials,
  });
  return { ...written, answer: readAnswer(use, inAnswer) };
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
