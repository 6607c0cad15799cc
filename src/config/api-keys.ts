import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigurationError } from '../errors.ts';

export const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

function readKeysFile(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => !line.startsWith('#'));
  } catch (cause) {
    throw new ConfigurationError(`ALTUP_API_KEYS_FILE: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * Digests of all keys, so that no key stays in memory or reaches a log.
 * @throws ConfigurationError when a source is given but holds no key: an open service would be a surprise
 */
export function readApiKeys(list: string | undefined, file: string | undefined): Buffer[] {
  const sources: [string, string[]][] = [];
  if (list !== undefined) sources.push(['ALTUP_API_KEYS', list.split(',')]);
  if (file !== undefined) sources.push(['ALTUP_API_KEYS_FILE', readKeysFile(file)]);
  return sources.flatMap(([source, lines]) => {
    const keys = lines.map((line) => line.trim()).filter((key) => key !== '');
    if (keys.length === 0) throw new ConfigurationError(`${source}: holds no key`);
    if (keys.some((key) => /\s/.test(key)))
      throw new ConfigurationError(`${source}: a key contains white space`);
    return keys.map(sha256);
  });
}
