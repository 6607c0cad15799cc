import { ConfigurationError } from '../errors.ts';
import { inOneLine, readCheckpointFile } from './checkpoint-file.ts';
import { modelLimits } from './model-limits.ts';

/** Minimum and maximum of a number, both included. */
export type Range = readonly [min: number, max: number];

/** What to return if a field is missing or null. Without a value for that case, the reader refuses the field. */
export interface Unsaid<T> {
  missing?: T;
  null?: T;
}

/** Maximum bytes of a file. The largest configs have a hundredth of this. */
const maxBytes = 2 ** 21;

/** Returns the same value for a field that is missing or null. */
export const unsaid = <const T>(value: T): Unsaid<T> => ({ missing: value, null: value });

/**
 * Reads fields of a JSON object that someone else wrote. It checks the type of every value and the range of every
 * number, and names the field in its errors.
 */
export class ConfigReader {
  readonly #file: string;
  readonly #prefix: string;
  readonly #fields: Record<string, unknown>;

  /** @param prefix place of the object in the file, such as `altup.`; empty for the whole file */
  constructor(file: string, fields: Record<string, unknown>, prefix = '') {
    this.#file = file;
    this.#fields = fields;
    this.#prefix = prefix;
  }

  static async open(file: string): Promise<ConfigReader> {
    let parsed: unknown;
    try {
      parsed = JSON.parse(readCheckpointFile(file, maxBytes));
    } catch (cause) {
      if (cause instanceof ConfigurationError) throw cause;
      throw new ConfigurationError(
        `${file}: cannot be read as JSON: ${inOneLine((cause as Error).message)}`,
        { cause },
      );
    }
    if (!isObject(parsed)) throw new ConfigurationError(`${file}: expected a JSON object`);
    return new ConfigReader(file, parsed);
  }

  /** Names of all fields. */
  get fields(): readonly string[] {
    return Object.keys(this.#fields);
  }

  isOneOf(field: string, values: readonly unknown[]): boolean {
    return values.includes(this.#fields[field]);
  }

  /** Length of a list; 0 if the field is not a list. */
  lengthOf(field: string): number {
    const value = this.#fields[field];
    return Array.isArray(value) ? value.length : 0;
  }

  /** Whether the field has no content: missing, false, null, 0, or an empty text, list or object. */
  isEmpty(field: string): boolean {
    const value = this.#fields[field];
    return !value || (typeof value === 'object' && Object.keys(value).length === 0);
  }

  /** Whether the field is present and not null. */
  has(field: string): boolean {
    return this.#fields[field] !== undefined && this.#fields[field] !== null;
  }

  isList(field: string): boolean {
    return Array.isArray(this.#fields[field]);
  }

  integer<T = never>(field: string, range: Range, otherwise: Unsaid<T> = {}): number | T {
    return this.#read(field, `an integer ${within(range)}`, (value) => isInteger(value, range), otherwise);
  }

  number<T = never>(field: string, range: Range, otherwise: Unsaid<T> = {}): number | T {
    return this.#read(field, `a number ${within(range)}`, (value) => isNumber(value, range), otherwise);
  }

  boolean<T = never>(field: string, otherwise: Unsaid<T> = {}): boolean | T {
    return this.#read(field, 'true or false', (value) => typeof value === 'boolean', otherwise);
  }

  oneOf<const O extends string, const T = never>(
    field: string,
    allowed: readonly O[],
    otherwise: Unsaid<T> = {},
  ): O | T {
    return this.#read(field, quoted(allowed), (value) => allowed.includes(value as O), otherwise);
  }

  /** A list of exactly `length` integers. */
  integers<T = never>(
    field: string,
    length: number,
    range: Range,
    otherwise: Unsaid<T> = {},
  ): readonly number[] | T {
    const isItem = (item: unknown) => isInteger(item, range);
    return this.#list(field, length, `integers ${within(range)}`, isItem, otherwise);
  }

  numbers<T = never>(
    field: string,
    length: number,
    range: Range,
    otherwise: Unsaid<T> = {},
  ): readonly number[] | T {
    const isItem = (item: unknown) => isNumber(item, range);
    return this.#list(field, length, `numbers ${within(range)}`, isItem, otherwise);
  }

  oneOfEach<const O extends string, T = never>(
    field: string,
    length: number,
    allowed: readonly O[],
    otherwise: Unsaid<T> = {},
  ): readonly O[] | T {
    const isItem = (item: unknown) => allowed.includes(item as O);
    return this.#list(field, length, `each ${quoted(allowed)}`, isItem, otherwise);
  }

  /** A token id; null if the field is missing or null. */
  tokenId(field: string): number | null {
    return this.integer(field, tokenIds, unsaid(null));
  }

  /** One token id or a list of them; null if the field is missing or null. */
  tokenIds(field: string): readonly number[] | null {
    if (!this.isList(field)) {
      const id = this.tokenId(field);
      return id === null ? null : [id];
    }
    const isFit = (value: unknown) =>
      (value as unknown[]).length <= maxTokenIds &&
      (value as unknown[]).every((id) => isInteger(id, tokenIds));
    return this.#read(field, `at most ${maxTokenIds} integers ${within(tokenIds)}`, isFit, {});
  }

  /** A field that is itself an object; null if it is missing or null. */
  object(field: string): ConfigReader | null {
    if (!this.has(field)) return null;
    const value = this.#fields[field];
    if (!isObject(value)) throw this.refuse(field, 'an object');
    return new ConfigReader(this.#file, value, `${this.#prefix}${field}.`);
  }

  /** Throws if the object has any other field. */
  allowOnly(known: readonly string[]): void {
    for (const field of Object.keys(this.#fields)) {
      if (!known.includes(field)) throw this.refuse(field, `no such field (known: ${known.join(', ')})`);
    }
  }

  /** An error that names the file, the field, its value and the expected value. */
  refuse(field: string, expected: string): ConfigurationError {
    const value = this.#fields[field];
    const found = value === undefined ? 'missing' : shortened(JSON.stringify(value));
    return new ConfigurationError(`${this.#file}: ${this.#prefix}${field} is ${found}; expected ${expected}`);
  }

  #list<V, T>(
    field: string,
    length: number,
    expected: string,
    isItem: (item: unknown) => boolean,
    otherwise: Unsaid<T>,
  ): V | T {
    const isFit = (value: unknown) => Array.isArray(value) && value.length === length && value.every(isItem);
    return this.#read(field, `a list of ${length}, ${expected}`, isFit, otherwise);
  }

  #read<V, T>(
    field: string,
    expected: string,
    isFit: (value: unknown) => boolean,
    otherwise: Unsaid<T>,
  ): V | T {
    const value = this.#fields[field];
    if (value === undefined && 'missing' in otherwise) return otherwise.missing as T;
    if (value === null && 'null' in otherwise) return otherwise.null as T;
    if (!isFit(value)) throw this.refuse(field, expected);
    return value as V;
  }
}

const tokenIds: Range = [0, modelLimits.vocab];
/** Maximum tokens that end a generation. */
const maxTokenIds = 1024;

const isInteger = (value: unknown, [min, max]: Range) =>
  Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
const isNumber = (value: unknown, [min, max]: Range) =>
  typeof value === 'number' && value >= min && value <= max;
const within = ([min, max]: Range) => `from ${min} to ${max}`;
const quoted = (options: readonly string[]) => options.map((option) => `"${option}"`).join(' or ');
const shortened = (json: string) => (json.length > 100 ? `${json.slice(0, 100)}…` : json);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
