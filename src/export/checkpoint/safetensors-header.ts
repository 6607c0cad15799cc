import { ConfigurationError } from '../../errors.ts';
import { bytesPerElement, type Dtype, isDtype } from './dtypes.ts';

export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Byte offsets from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

/**
 * Parses a safetensors header. Refuses anything that two readers could interpret differently: the tensors must fill
 * the data exactly, without holes or overlaps, as the format requires.
 * @param file path, for error messages
 * @param json bytes of the header
 * @param dataBytes number of bytes after the header
 */
export function parseSafetensorsHeader(
  file: string,
  json: Uint8Array,
  dataBytes: number,
): Map<string, TensorEntry> {
  const refuse = (problem: string, cause?: unknown) =>
    new ConfigurationError(`${file}: ${problem}`, { cause });
  const { text, parsed } = decode(json, refuse);
  const duplicate = findDuplicateKey(text);
  if (duplicate !== null) throw refuse(`the header has "${duplicate}" twice`);

  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(parsed)) {
    if (name === '__metadata__') continue;
    entries.set(
      name,
      parseEntry(value, (problem) => refuse(`tensor ${name}: ${problem}`)),
    );
  }
  checkCoverage(entries, dataBytes, refuse);
  return entries;
}

type Refuse = (problem: string, cause?: unknown) => ConfigurationError;

function decode(json: Uint8Array, refuse: Refuse): { text: string; parsed: object } {
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(json);
    parsed = JSON.parse(text);
  } catch (cause) {
    throw refuse('the header is not JSON in UTF-8', cause);
  }
  if (!isObject(parsed)) throw refuse('the header is not a JSON object');
  return { text, parsed };
}

function parseEntry(value: unknown, refuse: Refuse): TensorEntry {
  if (!isObject(value)) throw refuse('its entry is not a JSON object');
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (!isDtype(dtype)) {
    throw refuse(`dtype ${JSON.stringify(dtype)} is not one of ${Object.keys(bytesPerElement).join(', ')}`);
  }
  if (!isListOfSizes(shape)) throw refuse(`shape ${JSON.stringify(shape)} is not a list of sizes`);
  if (!isListOfSizes(offsets) || offsets.length !== 2) {
    throw refuse(`data_offsets ${JSON.stringify(offsets)} is not [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
  if (end - begin !== expected) {
    throw refuse(
      `data_offsets [${begin}, ${end}] hold ${end - begin} bytes, ${dtype} [${shape}] needs ${expected}`,
    );
  }
  return { dtype, shape, begin, end };
}

/** Checks that the ranges, in order, cover the data from 0 to its end without holes or overlaps. */
function checkCoverage(entries: ReadonlyMap<string, TensorEntry>, dataBytes: number, refuse: Refuse): void {
  const inOrder = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const [name, { begin, end }] of inOrder) {
    if (begin < covered) throw refuse(`tensor ${name} begins at byte ${begin}, inside the tensor before it`);
    if (begin > covered) throw refuse(`bytes ${covered} to ${begin} of the data belong to no tensor`);
    if (end > dataBytes)
      throw refuse(`tensor ${name} ends at byte ${end}, but the file holds ${dataBytes} of data`);
    covered = end;
  }
  if (covered < dataBytes) throw refuse(`bytes ${covered} to ${dataBytes} of the data belong to no tensor`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOfSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/**
 * Finds the first key that occurs twice in one object of the JSON `text`, or null. `JSON.parse` silently keeps the
 * last one, so two readers of a hostile file could see different tensors.
 * @param text valid JSON
 */
function findDuplicateKey(text: string): string | null {
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

/** In an object, a string is a key if and only if a colon follows it. */
function isKey(text: string, end: number): boolean {
  let position = end;
  while (' \n\r\t'.includes(text[position] ?? '?')) position += 1;
  return text[position] === ':';
}
