/** A part of a message's content. */
export interface ContentPart {
  type: 'text';
  text: string;
}

/** How a chat template reads a message's content: as a text, as a list of parts, or as either. */
export type ContentForm = 'text' | 'parts' | 'either';

/** A node of a template's syntax tree, as @huggingface/jinja parses it. */
interface Node {
  type: string;
  [field: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** Whether this is a message's content itself (whole, filtered or in part), not the result of a call. */
function isContent(node: unknown): boolean {
  if (!isNode(node)) return false;
  switch (node.type) {
    case 'Identifier':
      return node.value === 'content';
    case 'MemberExpression':
      return isNode(node.property) && node.property.type === 'SliceExpression'
        ? isContent(node.object)
        : isNode(node.property) && node.property.value === 'content';
    case 'FilterExpression':
      return isContent(node.operand);
    case 'SelectExpression':
      return isContent(node.lhs);
    default:
      return false;
  }
}

/** Every node of a template's syntax tree. */
export function* nodesOf(program: unknown): Generator<Node> {
  const open: unknown[] = [program];
  while (open.length > 0) {
    const value = open.pop();
    if (isNode(value)) yield value;
    if (value instanceof Map) open.push(...value.keys(), ...value.values());
    else if (typeof value === 'object' && value !== null) open.push(...Object.values(value));
  }
}

/**
 * The content form that a template expects. A template that loops over contents takes lists of parts; if it also tests
 * whether one `is string`, it takes texts too. vLLM decides in the same way.
 * @param program the template's syntax tree
 */
export function contentForm(program: unknown): ContentForm {
  let loops = false;
  let asksForText = false;
  for (const node of nodesOf(program)) {
    if (node.type === 'For') loops ||= isContent(node.iterable);
    if (node.type === 'TestExpression' && isNode(node.test) && node.test.value === 'string')
      asksForText ||= isContent(node.operand);
  }
  if (!loops) return 'text';
  return asksForText ? 'either' : 'parts';
}

/** A content as one text. */
export const contentText = (content: string | readonly ContentPart[]): string =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join('');

/**
 * A message's content in the form that a template expects. Parts that become one text are joined without a gap. A
 * system message is always in one piece: templates that put it into the first turn, as Gemma's does, read only its
 * first part.
 */
export function formContent(
  form: ContentForm,
  role: string,
  content: string | readonly ContentPart[],
): string | readonly ContentPart[] {
  if (form === 'text') return contentText(content);
  if (role !== 'system' && typeof content !== 'string') return content;
  const text = contentText(content);
  return form === 'either' ? text : [{ type: 'text', text }];
}
