import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
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

/** The keys that clients may use. Only digests are held, so that no key stays in memory or reaches a log. */
export class ApiKeys {
  readonly #listed: readonly Buffer[];
  readonly #file: string | null;
  #inFile: readonly Buffer[];

  /**
   * @param list keys separated by commas
   * @param file path of a file with a key a line
   * @throws ConfigurationError
   */
  constructor(list?: string, file?: string) {
    this.#listed = list === undefined ? [] : readKeys('ALTUP_API_KEYS', list.split(','));
    this.#file = file ?? null;
    this.#inFile = file === undefined ? [] : readKeysFile(file);
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
    const reload = () => {
      try {
        this.#inFile = readKeysFile(file);
        onChange(this.#digests.length);
      } catch (error) {
        onFault(error as Error);
      }
    };
    // By its state, not by events of the file system: a mounted secret is a link to a folder that is replaced.
    watchFile(file, { interval: lookEveryMs, persistent: false }, reload);
    return () => unwatchFile(file, reload);
  }

  get #digests(): readonly Buffer[] {
    return [...this.#listed, ...this.#inFile];
  }
}
