import { createHash } from 'node:crypto';
import type { ChatMessage } from '../../../catalog/tokenizer/chat-template.ts';
import { contentText } from '../../../catalog/tokenizer/content-form.ts';
import type { CallForm, ToolTemplate } from '../../../catalog/tokenizer/tool-template.ts';
import { invalidRequest } from '../../errors/invalid-request.ts';
import { paramOf } from '../../errors/validation-error.ts';
import { maxDepth, tooDeep } from '../../json/json-body.ts';
import type { TemplateTool } from './read-tools.ts';
import type { RequestCall } from './tool-fields.ts';

/** The form of calls for chat templates that have none of their own: that of Hermes and Qwen. */
export const agreedForm: CallForm = {
  open: '<tool_call>{"name": "',
  middle: '", "arguments": ',
  between: '}</tool_call>\n<tool_call>{"name": "',
  close: '}</tool_call>',
  style: 'json',
  separators: { item: ', ', key: ': ' },
};

/** A call as the client sent it. */
export type ReadCall = RequestCall & {
  /** Place of its arguments in the request, for errors. */
  place: string;
};

/** A message with the calls as the client sent them. */
export type ReadMessage = Omit<ChatMessage, 'tool_calls'> & { calls: readonly ReadCall[] };

/** Always the same for the same id, so that the cache still holds the prompt's tokens. */
const shortId = (id: string) =>
  /^[a-zA-Z0-9]{9}$/.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, 9);

/** Messages for a chat template that writes calls and their results itself. */
export function inOwnForm(
  messages: readonly ReadMessage[],
  { takesTextArguments, needsShortIds }: Pick<ToolTemplate, 'takesTextArguments' | 'needsShortIds'>,
): ChatMessage[] {
  const written = needsShortIds ? shortId : (id: string) => id;
  // Filled message by message: some clients number the calls of each turn from 0 again.
  const names = new Map<string, string>();
  return messages.map(({ calls, ...message }) => {
    const { role, tool_call_id: callId = '' } = message;
    const name = message.name ?? names.get(callId);
    if (role === 'tool') return { ...message, tool_call_id: written(callId), ...(name ? { name } : {}) };
    if (calls.length === 0) return message;
    for (const call of calls) names.set(call.id, call.function.name);
    const read = calls.map(({ id, type, function: { name, arguments: json }, place }) => {
      const whole = readArguments(json, place);
      const given = whole ?? (takesTextArguments ? json : {});
      return { id: written(id), type, function: { name, arguments: given } };
    });
    return { ...message, tool_calls: read };
  });
}

/** @returns null if they are no JSON, since their call was cut off: only some templates write these */
function readArguments(json: string, place: string): object | null {
  if (tooDeep(Buffer.from(json)))
    throw invalidRequest(paramOf(place), `\`${place}\` is nested more than ${maxDepth} levels deep.`);
  let read: unknown;
  try {
    read = json.trim() === '' ? {} : (JSON.parse(json) ?? {});
  } catch {
    return null;
  }
  if (typeof read === 'object' && read !== null && !Array.isArray(read)) return read;
  throw invalidRequest(paramOf(place), `\`${place}\` must be a JSON object, written as a string.`);
}

/**
 * Messages for a chat template that knows no tools: a system message describes the tools, and calls and results are
 * texts. Templates such as Gemma's want users and the assistant in turn, so results become a user's message, joined
 * with what the user says next to it.
 */
export function inAgreedForm(
  messages: readonly ReadMessage[],
  tools: readonly TemplateTool[],
  takesSystem: boolean,
): ChatMessage[] {
  const plain: ChatMessage[] = [];
  let isResult = false;
  for (const { calls, ...message } of messages) {
    const { role, content } = message;
    const last = plain.at(-1);
    const joins = last?.role === 'user' && (role === 'tool' || (role === 'user' && isResult));
    const text = role === 'tool' ? `<tool_response>\n${contentText(content)}\n</tool_response>` : content;
    if (joins) last.content = `${contentText(last.content)}\n${contentText(text)}`;
    else if (role === 'tool') plain.push({ role: 'user', content: text });
    else if (calls.length === 0) plain.push(message);
    else
      plain.push({
        ...message,
        content: [contentText(content), writtenCalls(calls)].filter(Boolean).join('\n'),
      });
    isResult = role === 'tool';
  }
  return tools.length === 0 ? plain : withDescription(plain, describe(tools), takesSystem);
}

function writtenCalls(calls: readonly RequestCall[]): string {
  const { open, middle, between, close } = agreedForm;
  // The arguments as they were generated, so that the cache still holds their tokens.
  const all = calls.map(
    ({ function: { name, arguments: json } }) => `${name}${middle}${json.trim() || '{}'}`,
  );
  return `${open}${all.join(between!)}${close}`;
}

function describe(tools: readonly TemplateTool[]): string {
  const all = tools.map(({ function: { name, description, parameters } }) =>
    JSON.stringify({ name, ...(description ? { description } : {}), parameters }),
  );
  const { open, middle, close } = agreedForm;
  return [
    'You can call these tools, each given with the JSON schema of its arguments:',
    ...all,
    'To call a tool, end your message with a line of this form, one line for each call:',
    `${open}<name>${middle}<arguments as JSON>${close}`,
    'Then you get the result of each call in <tool_response>. If no tool helps, answer without a call.',
  ].join('\n');
}

/** Adds a text to the system message, or to the first message if the template takes no system message. */
function withDescription(
  messages: readonly ChatMessage[],
  text: string,
  takesSystem: boolean,
): ChatMessage[] {
  const [first, ...others] = messages;
  const goesIn = takesSystem ? 'system' : 'user';
  if (first?.role !== goesIn) return [{ role: goesIn, content: text }, ...messages];
  const own = contentText(first.content);
  const parts = takesSystem ? [own, text] : [text, own];
  return [{ ...first, content: parts.join('\n\n') }, ...others];
}
