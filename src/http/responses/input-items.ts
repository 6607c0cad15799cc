import { type ContentPart, contentText } from '../../catalog/tokenizer/content-form.ts';
import type { ReadCall, ReadMessage } from '../chat/tools/render-tools.ts';
import { functionName } from '../chat/tools/tool-fields.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { withoutEffectInItemParts, withoutEffectInItems } from '../generation/fields-without-effect.ts';

interface InputPart {
  type: 'input_text' | 'output_text';
  text: string;
  annotations?: readonly unknown[];
  logprobs?: readonly unknown[];
}

type InputContent = string | readonly InputPart[];

type ItemType = 'message' | 'function_call' | 'function_call_output' | 'reasoning' | 'item_reference';

/** An item of `input`, as clients write it. */
export interface InputItem {
  type?: ItemType | null;
  role?: 'user' | 'assistant' | 'system' | 'developer' | null;
  content?: InputContent | null;
  call_id?: string | null;
  name?: string | null;
  arguments?: string | null;
  output?: InputContent | null;
  id?: string | null;
  status?: string | null;
}

type ItemField = Exclude<keyof InputItem, 'type' | 'id' | 'status'>;
/** The fields of each type of item that mean something here: those it needs, and those it may have. */
const itemTypes: Record<ItemType, { needs: readonly ItemField[]; takes: readonly ItemField[] }> = {
  message: { needs: ['role', 'content'], takes: [] },
  function_call: { needs: ['call_id', 'name', 'arguments'], takes: [] },
  function_call_output: { needs: ['call_id', 'output'], takes: ['name'] },
  // Clients send empty ones back.
  reasoning: { needs: [], takes: ['content'] },
  // Resolved before items are read (stored-items.ts).
  item_reference: { needs: [], takes: [] },
};
const itemFields: readonly ItemField[] = ['role', 'content', 'call_id', 'name', 'arguments', 'output'];

/** Comes before the check of an object's fields, so that one of an unknown type is refused for its type. */
const typeFirst = (types: readonly (string | null)[], expects: string) => [
  { type: 'object', properties: { type: { enum: types, 'x-expects': expects } } },
];

const contentSchema = (description: string) => ({
  type: ['string', 'array', 'null'],
  items: {
    type: 'object',
    allOf: typeFirst(
      ['input_text', 'output_text'],
      '`"input_text"` or `"output_text"`: the served models read only text',
    ),
    required: ['type', 'text'],
    properties: {
      type: { type: 'string' },
      text: { type: 'string' },
      ...withoutEffectInItemParts,
    },
    additionalProperties: false,
  },
  description,
});

export const itemSchema = {
  type: 'object',
  allOf: typeFirst(
    [...Object.keys(itemTypes), null],
    '`"message"`, `"function_call"`, `"function_call_output"`, `"item_reference"` or an empty `"reasoning"`: the models read only text, and the service has no tools of its own',
  ),
  properties: {
    type: { type: ['string', 'null'], default: 'message' },
    role: {
      enum: ['user', 'assistant', 'system', 'developer', null],
      description: 'Of a message. `developer` means the same as `system`.',
    },
    content: contentSchema(
      'Of a message: a text, or a list of parts of the types `input_text` and `output_text`.',
    ),
    call_id: {
      type: ['string', 'null'],
      minLength: 1,
      maxLength: 256,
      description: 'Of a call and of its output: what connects them.',
    },
    name: { ...functionName, type: ['string', 'null'], description: 'Of a call: its function.' },
    arguments: { type: ['string', 'null'], description: 'Of a call: a JSON object, written as a string.' },
    output: contentSchema('Of a call’s output: what the function returned.'),
    ...withoutEffectInItems,
  },
  additionalProperties: false,
};

/** The items of `input`. */
export const itemsOf = (input: string | readonly InputItem[]): readonly InputItem[] =>
  typeof input === 'string' ? [{ role: 'user', content: input }] : input;

/**
 * The messages of a conversation. A call joins the assistant's message before it; `instructions` and a system message
 * that the input begins with become one, because many templates take only one.
 * @param earlier the items before `input`
 * @throws ServiceError `invalid_request` for an item that lacks what its type needs, or has what belongs to another one
 */
export function readItems(
  instructions: string | null,
  earlier: readonly InputItem[],
  input: readonly InputItem[],
): ReadMessage[] {
  const messages: (ReadMessage & { calls: ReadCall[] })[] = [];
  if (instructions) messages.push({ role: 'system', content: instructions, calls: [] });
  for (const [index, item] of [...earlier, ...input].entries()) {
    const type = item.type ?? 'message';
    const place = index < earlier.length ? 'previous_response_id' : `input[${index - earlier.length}]`;
    refuseMisplaced(item, type, place);
    const last = messages.at(-1);
    if (type === 'function_call') {
      const call = readCall(item, `${place}.arguments`);
      if (last?.role === 'assistant') last.calls.push(call);
      else messages.push({ role: 'assistant', content: '', calls: [call] });
    } else if (type === 'function_call_output') {
      const { call_id, name, output } = item;
      const named = name ? { name } : {};
      messages.push({
        role: 'tool',
        content: readContent(output!),
        tool_call_id: call_id!,
        ...named,
        calls: [],
      });
    } else if (type === 'message') {
      const role = item.role === 'developer' ? 'system' : item.role!;
      const content = readContent(item.content!);
      if (role === 'system' && instructions && messages.length === 1)
        last!.content = `${instructions}\n\n${contentText(content)}`;
      else messages.push({ role, content, calls: [] });
    }
  }
  return messages;
}

const readCall = ({ call_id, name, arguments: json }: InputItem, place: string): ReadCall => ({
  id: call_id!,
  type: 'function',
  function: { name: name!, arguments: json! },
  place,
});

const readContent = (content: InputContent): string | readonly ContentPart[] =>
  typeof content === 'string' ? content : content.map(({ text }) => ({ type: 'text', text }));

function refuseMisplaced(item: InputItem, type: ItemType, place: string): void {
  const { needs, takes } = itemTypes[type];
  const isThere = (name: ItemField) => (item[name] ?? null) !== null;
  const missing = needs.find((name) => !isThere(name));
  if (missing !== undefined)
    throw invalidRequest('input', `\`${place}.${missing}\` is required in an item of the type \`${type}\`.`);
  const misplaced = itemFields.find((name) => isThere(name) && ![...needs, ...takes].includes(name));
  if (misplaced !== undefined)
    throw invalidRequest(
      'input',
      `\`${place}.${misplaced}\` does not belong to an item of the type \`${type}\`.`,
    );
  if (type === 'reasoning' && (item.content?.length ?? 0) > 0)
    throw invalidRequest(
      'input',
      `\`${place}.content\` must be empty: the served models read no reasoning. Leave the item out.`,
    );
}
