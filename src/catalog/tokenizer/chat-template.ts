import { Template } from '@huggingface/jinja';
import { ConfigurationError } from '../../errors.ts';
import { inOneLine } from '../checkpoint-file.ts';
import { type ContentForm, type ContentPart, contentForm, formContent, nodesOf } from './content-form.ts';
import type { TokenizerInfo } from './tokenizer-info.ts';

export interface ChatMessage {
  role: string;
  /** A text, or its parts as the client sent them. */
  content: string | readonly ContentPart[];
  name?: string;
  /** As templates read them: the arguments are an object, or a text if they are no whole JSON. */
  tool_calls?: readonly ToolCall[];
  /** In a message with a tool's result: the call's id. */
  tool_call_id?: string;
}

interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: object | string };
}

export interface ChatRendering {
  /** Ends where the assistant's next message begins. */
  addGenerationPrompt: boolean;
  /** Ends with the last message's content, so that the model continues it. */
  continuesFinal: boolean;
  /** Variables that the template may use in addition to the messages. */
  variables: Record<string, unknown>;
  /** The tools to describe, for templates that do so. */
  tools?: readonly object[];
}

/** The template refuses the messages, worded for their author, or fails on them. */
export class ChatTemplateError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ChatTemplateError';
  }
}

/** A character that no template writes by itself. */
export const mark = '\u2042';

/** Names of template variables that a request may not set. */
export const reservedVariables: readonly string[] = [
  ...['messages', 'tools', 'add_generation_prompt'],
  ...[
    'true',
    'false',
    'none',
    'True',
    'False',
    'None',
    'namespace',
    'range',
    'raise_exception',
    'strftime_now',
  ],
];

/** Replaces the library's `raise_exception`, whose errors look like the library's own. */
const raiseName = '__raise__';
const raise = (message: unknown) => {
  throw new ChatTemplateError(String(message));
};

/** The model cannot continue the last message: it has no text, or the template changes it. */
export class FinalMessageError extends Error {
  constructor() {
    super('The last message must have text that the chat template keeps as it is.');
    this.name = 'FinalMessageError';
  }
}

/**
 * Turns the messages of a chat into text in the format that a checkpoint was trained on, with its own Jinja template:
 * chat_template.jinja, or `chat_template` of tokenizer_config.json (a text, or a list of named ones: `default`,
 * otherwise the first). A template is a program from the checkpoint, so the service runs it in a separate process
 * (text-worker.ts).
 */
export class ChatTemplate {
  readonly #template: Template;
  readonly #contentForm: ContentForm;
  readonly #specialTokens: Record<string, string>;

  /** @param specialTokens as templates name them: `bos_token`, `eos_token` */
  constructor(source: string, specialTokens: Record<string, string> = {}) {
    this.#template = new Template(source);
    this.#contentForm = contentForm(this.#template.parsed);
    for (const node of nodesOf(this.#template.parsed)) {
      if (node.type === 'Identifier' && node.value === 'raise_exception') node.value = raiseName;
    }
    this.#specialTokens = specialTokens;
  }

  /** @returns null if the checkpoint has none. @throws ConfigurationError naming the file that is not a template */
  static load({ chatTemplate, specialTokens, templatePlace }: TokenizerInfo): ChatTemplate | null {
    if (chatTemplate === null) return null;
    try {
      return new ChatTemplate(chatTemplate, specialTokens);
    } catch (cause) {
      throw new ConfigurationError(
        `${templatePlace} is not a chat template: ${inOneLine((cause as Error).message)}`,
        { cause },
      );
    }
  }

  /** @throws ChatTemplateError, FinalMessageError */
  render(messages: readonly ChatMessage[], rendering: ChatRendering): string {
    const { addGenerationPrompt, continuesFinal, variables, tools } = rendering;
    const text = this.#render({
      ...this.#specialTokens,
      ...variables,
      messages: (continuesFinal ? withMark(messages) : messages).map((message) => ({
        ...message,
        content: formContent(this.#contentForm, message.role, message.content),
      })),
      ...(tools ? { tools } : {}),
      add_generation_prompt: addGenerationPrompt,
      [raiseName]: raise,
    });
    return continuesFinal ? uptoMark(text, messages.at(-1)!) : text;
  }

  #render(context: Record<string, unknown>): string {
    try {
      return this.#template.render(context);
    } catch (cause) {
      // Too deep or too large: the template's fault, not the messages'.
      if (cause instanceof RangeError || cause instanceof ChatTemplateError) throw cause;
      throw new ChatTemplateError('it fails on them or on `chat_template_kwargs`', { cause });
    }
  }
}

/**
 * Marks the end of the last message's text, without white space there. The text alone could be found again in what the
 * template writes after it, such as the `<` of `<end_of_turn>`.
 * @throws FinalMessageError if there is no text
 */
function withMark(messages: readonly ChatMessage[]): ChatMessage[] {
  const final = messages.at(-1)!;
  const marked = finalText(final) + mark;
  const { content } = final;
  const parts = typeof content === 'string' ? marked : content.with(-1, { ...content.at(-1)!, text: marked });
  return messages.with(-1, { ...final, content: parts });
}

/** @throws FinalMessageError if the template does not write the text as it is */
function uptoMark(text: string, final: ChatMessage): string {
  const written = finalText(final);
  const at = text.lastIndexOf(written + mark);
  if (at < 0) throw new FinalMessageError();
  return text.slice(0, at + written.length);
}

function finalText({ content }: ChatMessage): string {
  const text = (typeof content === 'string' ? content : content.at(-1)!.text).trim();
  if (text === '') throw new FinalMessageError();
  return text;
}
