import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { ConfigurationError, UsageError } from '../errors.ts';

/** Interval between checks of the keys file, milliseconds. */
const lookEveryMs = 1000;

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

interface NamedKey {
  digest: Buffer;
  /** null: the key has no name. */
  name: string | null;
}

/** Names that the service itself uses in logs and metrics. */
const ownNames = /^(anonymous|other|key-\d+)$/;

/** @throws ConfigurationError, which never shows the key */
function readKey(source: string, words: string): NamedKey {
  const [key = '', name = null, ...more] = words.split(/\s+/);
  if (more.length > 0)
    throw new ConfigurationError(
      `${source}: has more than two words; expected a key, optionally followed by a name`,
    );
  if (name !== null && !/^[\w.-]{1,64}$/.test(name))
    throw new ConfigurationError(`${source}: a name has at most 64 letters, digits and ._-`);
  if (name !== null && ownNames.test(name))
    throw new ConfigurationError(`${source}: the name ${name} is reserved; choose another`);
  return { digest: sha256(key), name };
}

/** @throws UsageError when the variable holds no key, because nobody would expect an open service then */
function readList(list: string): NamedKey[] {
  const keys = list.split(',').flatMap((key) => (key.trim() === '' ? [] : [key.trim()]));
  if (keys.length === 0) throw new UsageError('ALTUP_API_KEYS: holds no key');
  if (keys.some((key) => /\s/.test(key)))
    throw new UsageError(
      'ALTUP_API_KEYS: a key contains white space; names of keys go into ALTUP_API_KEYS_FILE',
    );
  return keys.map((key) => ({ digest: sha256(key), name: null }));
}

/** @throws ConfigurationError when the file cannot be read or holds no key */
function readKeysFile(file: string): NamedKey[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigurationError(`ALTUP_API_KEYS_FILE: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
  const keys = text.split('\n').flatMap((line, index) => {
    if (line.startsWith('#') || line.trim() === '') return [];
    return [readKey(`ALTUP_API_KEYS_FILE: line ${index + 1}`, line.trim())];
  });
  if (keys.length === 0) throw new ConfigurationError('ALTUP_API_KEYS_FILE: holds no key');
  return keys;
}

/** A text that changes with the file. Has the inode: a mounted secret is a link to a folder that is replaced. */
function stateOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
}

/** The keys that clients may use. Holds only digests, so that no key stays in memory or reaches a log. */
export class ApiKeys {
  readonly #listed: readonly NamedKey[];
  readonly #file: string | null;
  #inFile: readonly NamedKey[];
  /** Numbers of keys without a name, by digest. They stay the same while the process runs. */
  readonly #numbers = new Map<string, number>();
  /** State of the file when it was last read. */
  #state = '';

  /**
   * @param list keys separated by commas
   * @param file path of a file with one key per line, each with an optional name
   * @throws ConfigurationError
   */
  constructor(list?: string, file?: string) {
    this.#listed = list === undefined ? [] : readList(list);
    this.#file = file ?? null;
    this.#inFile = file === undefined ? [] : this.#read(file);
    this.#number();
  }

  #read(file: string): readonly NamedKey[] {
    // Take the state before reading: the next check then sees a change in between.
    this.#state = stateOf(file);
    return readKeysFile(file);
  }

  #number(): void {
    for (const { digest, name } of this.#keys) {
      const id = digest.toString('hex');
      if (name === null && !this.#numbers.has(id)) this.#numbers.set(id, this.#numbers.size + 1);
    }
  }

  /** Whether no key is set, so that anybody who reaches the service may use it. */
  get isOpen(): boolean {
    return this.#keys.length === 0;
  }

  /**
   * Takes the same time for every key, known or not.
   * @returns the key's name, or `key-1` and so on for a key without one, which does not reveal the key; null when the
   *   key is unknown
   */
  nameOf(key: string): string | null {
    const given = sha256(key);
    const matches = this.#keys.filter(({ digest }) => timingSafeEqual(digest, given));
    if (matches.length === 0) return null;
    const named = matches.find(({ name }) => name !== null)?.name;
    return named ?? `key-${this.#numbers.get(given.toString('hex'))}`;
  }

  /** Reads the keys file again. An invalid file changes nothing. */
  readAgain(onChange: (keys: number) => void, onFault: (error: Error) => void): void {
    if (this.#file === null) return;
    try {
      this.#inFile = this.#read(this.#file);
      this.#number();
      onChange(this.#keys.length);
    } catch (error) {
      onFault(error as Error);
    }
  }

  /**
   * Reads the keys file again whenever it changes.
   * @returns a function that ends the watch
   */
  watch(onChange: (keys: number) => void, onFault: (error: Error) => void): () => void {
    const file = this.#file;
    if (file === null) return () => {};
    const look = () => {
      if (stateOf(file) !== this.#state) this.readAgain(onChange, onFault);
    };
    const timer = setInterval(look, lookEveryMs).unref();
    return () => clearInterval(timer);
  }

  get #keys(): readonly NamedKey[] {
    return [...this.#listed, ...this.#inFile];
  }
}
