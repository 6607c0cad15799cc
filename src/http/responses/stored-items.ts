import { randomUUID } from 'node:crypto';
import { invalidRequest } from '../errors/invalid-request.ts';
import { wholeTurn } from '../json/in-turns.ts';
import type { InputItem } from './input-items.ts';
import type { ResponseObject } from './response-object.ts';
import type { ResponseStore, StoredResponse } from './response-store.ts';

/** An item as the service keeps it: with an id, and its content in parts. */
export type StoredItem = InputItem & { id: string };

export const newItemId = (prefix: string) => `${prefix}_${randomUUID().replaceAll('-', '')}`;

/**
 * The items of a request as its response is stored with them. Items that say nothing are left out. Each has an id of its
 * own, because a page of the list begins after one: what a client sends a second time gets another.
 */
export function storedItems(items: readonly InputItem[]): StoredItem[] {
  const taken = new Set<string>();
  return items.flatMap((item) => {
    const stored = storedItem(item, (prefix) =>
      item.id && !taken.has(item.id) ? item.id : newItemId(prefix),
    );
    if (!stored) return [];
    taken.add(stored.id);
    return [stored];
  });
}

function storedItem(item: InputItem, id: (prefix: string) => string): StoredItem | null {
  const { type, call_id = null, name = null, arguments: json = null, output = null } = item;
  const status = 'completed';
  switch (type ?? 'message') {
    case 'message':
      return { type: 'message', id: id('msg'), status, role: item.role!, content: inParts(item) };
    case 'function_call':
      return { type: 'function_call', id: id('fc'), status, call_id, name, arguments: json };
    case 'function_call_output':
      return {
        type: 'function_call_output',
        id: id('fco'),
        status,
        call_id,
        output,
        ...(name ? { name } : {}),
      };
    case 'reasoning':
    case 'item_reference':
      return null;
  }
}

function inParts({ role, content }: InputItem): NonNullable<InputItem['content']> {
  const texts = typeof content === 'string' ? [content] : content!.map(({ text }) => text);
  return texts.map((text) =>
    role === 'assistant'
      ? { type: 'output_text', text, annotations: [], logprobs: [] }
      : { type: 'input_text', text },
  );
}

/**
 * The conversation up to a stored response, its output included.
 * @param maxBytes of the conversation without its last answer, since every turn adds to it
 * @throws ServiceError `invalid_request` if there is none of this id, or if it cannot be continued
 */
export async function earlierItems(
  store: ResponseStore | null,
  client: string,
  { id, maxBytes }: { id: string; maxBytes: number },
): Promise<StoredItem[]> {
  const refuse = (message: string) => invalidRequest('previous_response_id', message);
  const instead = 'send the earlier items in `input`';
  if (!store) {
    throw refuse(
      `\`previous_response_id\` is not supported: this service stores no responses (ALTUP_RESPONSES_STORE); ${instead}.`,
    );
  }
  const stored = store.get(client, id);
  if (!stored) {
    throw refuse(
      `\`previous_response_id\` names a response that is not stored for this client, '${id.slice(0, 64)}'; ${instead}.`,
    );
  }
  if (stored.input.length > maxBytes) {
    throw refuse(
      `\`previous_response_id\` names a conversation of ${stored.input.length} bytes, more than the ${maxBytes} that a request may have (ALTUP_BODY_LIMIT); ${instead}, without the oldest.`,
    );
  }
  await wholeTurn();
  const output = outputOf(stored);
  const last = output.at(-1);
  if (last?.type === 'function_call' && last.status === 'incomplete') {
    throw refuse(
      `\`previous_response_id\` names a response whose last call was cut off; ${instead}, without that call.`,
    );
  }
  return [...JSON.parse(stored.input.toString()), ...output];
}

/**
 * The items with each reference replaced by the item that it names.
 * @param maxBytes of the responses that are named, since references are much shorter than what they stand for
 * @throws ServiceError `invalid_request` if the item is not stored
 */
export async function resolveReferences(
  store: ResponseStore | null,
  client: string,
  { items, maxBytes }: { items: readonly InputItem[]; maxBytes: number },
): Promise<InputItem[]> {
  /** By response, because a turn may have many items. */
  const outputs = new Map<string, ResponseObject['output']>();
  const named = new Set<string>();
  let bytes = 0;
  const resolved: InputItem[] = [];
  for (const [index, item] of items.entries()) {
    if (item.type !== 'item_reference') {
      resolved.push(item);
      continue;
    }
    const id = item.id ?? '';
    const refuse = (why: string) =>
      invalidRequest('input', `\`input[${index}]\` names an item, '${id.slice(0, 64)}', ${why}`);
    const holder = store?.holderOf(client, id) ?? null;
    const stored = holder === null ? null : store!.get(client, holder);
    if (holder === null || !stored) {
      const reason = store ? 'is not stored for this client' : 'this service does not store';
      throw refuse(`that ${reason} (ALTUP_RESPONSES_STORE); send the item itself.`);
    }
    if (named.has(id)) throw refuse('a second time; name each item once.');
    named.add(id);
    let output = outputs.get(holder);
    if (!output) {
      bytes += stored.response.length;
      if (bytes > maxBytes) {
        throw refuse(
          `which makes more than ${maxBytes} bytes of stored responses (ALTUP_BODY_LIMIT); name fewer.`,
        );
      }
      await wholeTurn();
      output = outputOf(stored);
      outputs.set(holder, output);
    }
    resolved.push(output.find((each) => each.id === id)!);
  }
  return resolved;
}

const outputOf = ({ response }: StoredResponse): ResponseObject['output'] =>
  (JSON.parse(response.toString()) as ResponseObject).output;
