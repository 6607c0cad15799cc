import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { ConfigurationError } from '../errors.ts';

/** How often a keys file is looked at, milliseconds. */
const lookEveryMs = 1000;

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

interface NamedKey {
  digest: Buffer;
  /** null: none was given. */
  name: string | null;
}

/** Names that the service gives itself, in logs and metrics. */
const ownNames = /^(anonymous|other|key-\d+)$/;

/** @throws ConfigurationError that never shows the key */
function readKey(source: string, words: string): NamedKey {
  const [key = '', name = null, ...more] = words.split(/\s+/);
  if (more.length > 0) throw new ConfigurationError(`${source}: expected a key and at most a name`);
  if (name !== null && !/^[\w.-]{1,64}$/.test(name))
    throw new ConfigurationError(`${source}: a name has at most 64 letters, digits and ._-`);
  if (name !== null && ownNames.test(name))
    throw new ConfigurationError(`${source}: the name ${name} is the service's own; choose another`);
  return { digest: sha256(key), name };
}

/** @throws ConfigurationError when the variable holds no key: an open service would be a surprise */
function readList(list: string): NamedKey[] {
  const keys = list.split(',').flatMap((key) => (key.trim() === '' ? [] : [key.trim()]));
  if (keys.length === 0) throw new ConfigurationError('ALTUP_API_KEYS: holds no key');
  if (keys.some((key) => /\s/.test(key)))
    throw new ConfigurationError(
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

/** Tells one content of a file from the next, by the file's state: a mounted secret is a link to a folder that is replaced. */
function stateOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
}

/** The keys that clients may use. Only digests are held, so that no key stays in memory or reaches a log. */
export class ApiKeys {
  readonly #listed: readonly NamedKey[];
  readonly #file: string | null;
  #inFile: readonly NamedKey[];
  /** By digest, the numbers of keys without a name, which stay while the process runs. */
  readonly #numbers = new Map<string, number>();
  /** Of the file that was read last. */
  #state = '';

  /**
   * @param list keys separated by commas
   * @param file path of a file with a key a line, and perhaps its name
   * @throws ConfigurationError
   */
  constructor(list?: string, file?: string) {
    this.#listed = list === undefined ? [] : readList(list);
    this.#file = file ?? null;
    this.#inFile = file === undefined ? [] : this.#read(file);
    this.#number();
  }

  #read(file: string): readonly NamedKey[] {
    // Looked at before it is read: a change in between is seen at the next look.
    this.#state = stateOf(file);
    return readKeysFile(file);
  }

  #number(): void {
    for (const { digest, name } of this.#keys) {
      const id = digest.toString('hex');
      if (name === null && !this.#numbers.has(id)) this.#numbers.set(id, this.#numbers.size + 1);
    }
  }

  /** No key is set: whoever reaches the service may use it. */
  get isOpen(): boolean {
    return this.#keys.length === 0;
  }

  /**
   * @returns the key's name, or `key-1` and so on for one without: nothing that gives the key away. null where the key is
   *   not known. Takes as long whichever it is
   */
  nameOf(key: string): string | null {
    const given = sha256(key);
    const matches = this.#keys.filter(({ digest }) => timingSafeEqual(digest, given));
    if (matches.length === 0) return null;
    const named = matches.find(({ name }) => name !== null)?.name;
    return named ?? `key-${this.#numbers.get(given.toString('hex'))}`;
  }

  /** Reads the keys file again. One that is not valid changes nothing. */
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
   * @returns ends the watch
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
