import { readFile } from 'node:fs/promises';
import { ConfigurationError } from '../errors.ts';

/** Reads fields of a JSON object and refuses, by name, what is not as expected. */
export class ConfigReader {
  readonly #file: string;
  readonly #prefix: string;
  readonly #fields: Record<string, unknown>;

  /** @param prefix where the object stands in the file, as `altup.`; empty for the whole file */
  constructor(file: string, fields: Record<string, unknown>, prefix = '') {
    this.#file = file;
    this.#fields = fields;
    this.#prefix = prefix;
  }

  static async open(file: string): Promise<ConfigReader> {
    let parsed: unknown;
    try {
      parsed = JSON.parse(await readFile(file, 'utf8'));
    } catch (cause) {
      throw new ConfigurationError(`${file}: cannot be read as JSON: ${(cause as Error).message}`, { cause });
    }
    if (!isObject(parsed)) throw new ConfigurationError(`${file}: expected a JSON object`);
    return new ConfigReader(file, parsed);
  }

  /** A field that is absent or null counts as missing. */
  has(field: string): boolean {
    return this.#fields[field] !== undefined && this.#fields[field] !== null;
  }

  /** @param fallback for a missing field; none: the field is required */
  positiveInteger(field: string, fallback?: number): number {
    const value = this.#valueOr(field, fallback);
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw this.refuse(field, 'a positive integer');
    return value as number;
  }

  integer(field: string, fallback: number): number {
    const value = this.#valueOr(field, fallback);
    if (!Number.isSafeInteger(value)) throw this.refuse(field, 'an integer');
    return value as number;
  }

  nonNegativeInteger(field: string, fallback?: number): number {
    const value = this.#valueOr(field, fallback);
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw this.refuse(field, 'an integer from 0 up');
    return value as number;
  }

  /** A field that is a list, or null where it is missing or of another kind. */
  list(field: string): unknown[] | null {
    const value = this.#fields[field];
    return Array.isArray(value) ? value : null;
  }

  /** The field is there and says null. */
  isNull(field: string): boolean {
    return this.#fields[field] === null;
  }

  /** A token id, or null where the field is missing. */
  tokenId(field: string): number | null {
    if (!this.has(field)) return null;
    const value = this.#fields[field];
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw this.refuse(field, 'a token id');
    return value as number;
  }

  /** One token id or a list of them. */
  tokenIds(field: string): number[] {
    const value = this.#fields[field];
    if (!Array.isArray(value)) return [this.tokenId(field)].filter((id) => id !== null);
    if (!value.every((id) => Number.isSafeInteger(id) && id >= 0)) throw this.refuse(field, 'token ids');
    return value;
  }

  count(field: string): number {
    const value = this.#fields[field];
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw this.refuse(field, 'a whole number of at least 0');
    return value as number;
  }

  positiveNumber(field: string, fallback?: number): number {
    const value = this.#valueOr(field, fallback);
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
      throw this.refuse(field, 'a positive number');
    }
    return value;
  }

  /** From `low` to `high`, both included. */
  number(field: string, low: number, high: number): number {
    const value = this.#fields[field];
    if (typeof value !== 'number' || !(value >= low && value <= high)) {
      throw this.refuse(field, `a number from ${low} to ${high}`);
    }
    return value;
  }

  boolean(field: string, fallback?: boolean): boolean {
    const value = this.#valueOr(field, fallback);
    if (typeof value !== 'boolean') throw this.refuse(field, 'true or false');
    return value;
  }

  oneOf<const T extends string>(field: string, allowed: readonly T[], fallback?: T): T {
    const value = this.#valueOr(field, fallback);
    const found = allowed.find((option) => option === value);
    if (found === undefined) throw this.refuse(field, allowed.map((option) => `"${option}"`).join(' or '));
    return found;
  }

  /** A field that is itself an object, or null where it is missing. */
  object(field: string): ConfigReader | null {
    if (!this.has(field)) return null;
    const value = this.#fields[field];
    if (!isObject(value)) throw this.refuse(field, 'an object');
    return new ConfigReader(this.#file, value, `${this.#prefix}${field}.`);
  }

  /** Refuses every field but these. */
  allowOnly(known: readonly string[]): void {
    for (const field of Object.keys(this.#fields)) {
      if (!known.includes(field)) throw this.refuse(field, `only ${known.join(', ')}: it is not known here`);
    }
  }

  /** An error that names the file, the field, what it holds and what was expected. */
  refuse(field: string, expected: string): ConfigurationError {
    const value = this.#fields[field];
    const found = value === undefined ? 'missing' : JSON.stringify(value);
    return new ConfigurationError(`${this.#file}: ${this.#prefix}${field} is ${found}; expected ${expected}`);
  }

  #valueOr(field: string, fallback: unknown): unknown {
    return this.has(field) ? this.#fields[field] : fallback;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
