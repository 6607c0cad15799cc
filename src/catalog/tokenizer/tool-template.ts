import { type ChatMessage, type ChatRendering, type ChatTemplate, mark } from './chat-template.ts';

/**
 * How a chat template writes the tool calls of an assistant. A list of calls is `open`, then for each call its name,
 * `middle` and its arguments, with `between` after each but the last, and `close` at the end.
 */
export interface CallForm {
  open: string;
  middle: string;
  /** null: one message has one call. */
  between: string | null;
  close: string;
  /** `escaped`: FunctionGemma's, as in `count:1,city:<escape>Bath<escape>`. */
  style: 'json' | 'escaped';
  /** What separates JSON's members, and a member's name from its value. */
  separators: { item: string; key: string };
}

/** What a chat template does with tools. */
export interface ToolTemplate {
  /** null: it does not describe tools, or writes calls in a form that cannot be read back. */
  form: CallForm | null;
  /** It also writes calls whose arguments are a text, not an object. */
  takesTextArguments: boolean;
  /** It only writes calls whose ids are 9 letters and digits, as Mistral's. */
  needsShortIds: boolean;
  /** It takes a system message. */
  takesSystem: boolean;
}

const question: ChatMessage = { role: 'user', content: 'q' };
const names = ['probe_one', 'probe_two'] as const;
const args = { count: 1, text: 'x' };
const usualIds = ['call_1', 'call_2'] as const;
const shortIds = ['probe0001', 'probe0002'] as const;
const spaced = { item: ', ', key: ': ' };
const compact = { item: ',', key: ':' };

/** The arguments in all forms that can be read back. */
const writtenArguments = [
  { text: '{"count": 1, "text": "x"}', style: 'json', separators: spaced },
  { text: '{"count":1,"text":"x"}', style: 'json', separators: compact },
  { text: 'count:1,text:<escape>x<escape>', style: 'escaped', separators: compact },
] as const;

const tools = names.map((name) => ({
  type: 'function',
  function: {
    name,
    description: 'd',
    parameters: {
      type: 'object',
      properties: {
        count: { type: 'integer', description: 'd' },
        text: { type: 'string', description: 'd' },
      },
      required: ['count', 'text'],
    },
  },
}));

/** Finds out by examples what a template does with tools. */
export function toolTemplate(template: ChatTemplate): ToolTemplate {
  const render = (messages: readonly ChatMessage[], rendering: Partial<ChatRendering> = {}) => {
    try {
      return template.render(messages, {
        addGenerationPrompt: false,
        continuesFinal: false,
        variables: {},
        ...rendering,
      });
    } catch {
      return null;
    }
  };
  const takesSystem = render([{ role: 'system', content: mark }, question])?.includes(mark) ?? false;
  const isDescribed = render([question], { tools }) !== render([question]);
  if (!isDescribed) return { form: null, takesTextArguments: false, needsShortIds: false, takesSystem };

  const said = render([question, { role: 'assistant', content: mark }], { tools });
  const calling = (called: readonly string[], ids: readonly string[], written: object | string = args) => {
    const calls = called.map((name, i) => ({
      id: ids[i]!,
      type: 'function' as const,
      function: { name, arguments: written },
    }));
    const text = render([question, { role: 'assistant', content: '', tool_calls: calls }], { tools });
    return said !== null && text !== null ? withoutIds(difference(text, said), ids) : null;
  };
  const first = names.slice(0, 1);
  const needsShortIds = calling(first, usualIds) === null && calling(first, shortIds) !== null;
  const ids = needsShortIds ? shortIds : usualIds;
  const one = calling(first, ids);
  return {
    form: one === null ? null : readForm(one, calling(names, ids)),
    takesTextArguments: calling(first, ids, mark)?.includes(mark) ?? false,
    needsShortIds,
    takesSystem,
  };
}

/** Mistral's template also writes each call's id as a member behind its arguments. Models leave it to the service. */
const withoutIds = (text: string, ids: readonly string[]) =>
  ids.reduce((rest, id) => rest.replace(`, "id": "${id}"`, ''), text);

/** The part of `text` that `other` does not have. */
function difference(text: string, other: string): string {
  const shorter = Math.min(text.length, other.length);
  let start = 0;
  while (start < shorter && text[start] === other[start]) start++;
  let end = 0;
  while (end < shorter - start && text.at(-1 - end) === other.at(-1 - end)) end++;
  return text.slice(start, text.length - end);
}

function readForm(one: string, two: string | null): CallForm | null {
  const [first, second] = names;
  const open = one.slice(0, Math.max(0, one.indexOf(first))).trimStart();
  const rest = one.slice(one.indexOf(first) + first.length);
  const written = writtenArguments.find(({ text }) => rest.includes(text));
  if (open === '' || !written) return null;
  const [middle, close] = rest.split(written.text) as [string, string];
  if (middle === '') return null;
  const parts = two?.split(written.text)[1]?.split(second) ?? [];
  const between = parts.length === 2 ? parts[0]! : null;
  const { style, separators } = written;
  return { open, middle, between, close: close.trimEnd(), style, separators };
}
