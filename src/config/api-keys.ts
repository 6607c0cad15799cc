import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { ConfigurationError } from '../errors.ts';

/** How often a keys file is looked at, milliseconds. */
const lookEveryMs = 1000;

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** @throws ConfigurationError when a source is given but holds no key: an open service would be a surprise */
function readKeys(source: string, lines: readonly string[]): Buffer[] {
  const keys = lines.map((line) => line.trim()).filter((key) => key !== '');
  if (keys.length === 0) throw new ConfigurationError(`${source}: holds no key`);
  if (keys.some((key) => /\s/.test(key)))
    throw new ConfigurationError(`${source}: a key contains white space`);
  return keys.map(sha256);
}

function readKeysFile(file: string): Buffer[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigurationError(`ALTUP_API_KEYS_FILE: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return readKeys(
    'ALTUP_API_KEYS_FILE',
    text.split('\n').filter((line) => !line.startsWith('#')),
  );
}

/** Tells one content of a file from the next, by the file's state: a mounted secret is a link to a folder that is replaced. */
function stateOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
}

/** The keys that clients may use. Only digests are held, so that no key stays in memory or reaches a log. */
export class ApiKeys {
  readonly #listed: readonly Buffer[];
  readonly #file: string | null;
  #inFile: readonly Buffer[];
  /** Of the file that was read last. */
  #state = '';

  /**
   * @param list keys separated by commas
   * @param file path of a file with a key a line
   * @throws ConfigurationError
   */
  constructor(list?: string, file?: string) {
    this.#listed = list === undefined ? [] : readKeys('ALTUP_API_KEYS', list.split(','));
    this.#file = file ?? null;
    this.#inFile = file === undefined ? [] : this.#read(file);
  }

  #read(file: string): readonly Buffer[] {
    // Looked at before it is read: a change in between is seen at the next look.
    this.#state = stateOf(file);
    return readKeysFile(file);
  }

  /** No key is set: whoever reaches the service may use it. */
  get isOpen(): boolean {
    return this.#digests.length === 0;
  }

  /** @returns a name for the key that does not give it away; null where it is not known. Takes as long whichever it is. */
  nameOf(key: string): string | null {
    const given = sha256(key);
    const matches = this.#digests.filter((digest) => timingSafeEqual(digest, given));
    return matches.length === 0 ? null : `key ${given.toString('hex').slice(0, 16)}`;
  }

  /**
   * Reads the keys file again whenever it changes. A file that is not valid changes nothing.
   * @returns ends the watch
   */
  watch(onChange: (keys: number) => void, onFault: (error: Error) => void): () => void {
    const file = this.#file;
    if (file === null) return () => {};
    const look = () => {
      if (stateOf(file) === this.#state) return;
      try {
        this.#inFile = this.#read(file);
        onChange(this.#digests.length);
      } catch (error) {
        onFault(error as Error);
      }
    };
    const timer = setInterval(look, lookEveryMs).unref();
    return () => clearInterval(timer);
  }

  get #digests(): readonly Buffer[] {
    return [...this.#listed, ...this.#inFile];
  }
}
