/**
 * The first key that one object of the JSON `text` has twice, or null. `JSON.parse` silently keeps the last of
 * two, so two readers of one hostile file could see different tensors.
 * @param text valid JSON
 */
export function findDuplicateKey(text: string): string | null {
  /** Keys of each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  let position = 0;
  while (position < text.length) {
    const character = text[position];
    if (character === '"') {
      const end = endOfString(text, position);
      const keys = open.at(-1);
      if (keys && isKey(text, end)) {
        const key = JSON.parse(text.slice(position, end)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      position = end;
      continue;
    }
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(null);
    else if (character === '}' || character === ']') open.pop();
    position += 1;
  }
  return null;
}

/** Position after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let position = start + 1;
  while (position < text.length && text[position] !== '"') position += text[position] === '\\' ? 2 : 1;
  return position + 1;
}

/** In an object, a string is a key exactly where a colon follows. */
function isKey(text: string, end: number): boolean {
  let position = end;
  while (' \n\r\t'.includes(text[position] ?? '?')) position += 1;
  return text[position] === ':';
}
