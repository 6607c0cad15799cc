import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ApiKeys } from '../../src/config/api-keys.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

it('a keys file is read again when it changes, and a bad one changes nothing', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'keys');
  // Like an update of a mounted secret: a new file replaces the old one under the same name.
  const replace = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  replace('alpha\ndelta\n');
  const keys = new ApiKeys('always', file);
  const changes: number[] = [];
  const faults: string[] = [];
  onTestFinished(
    keys.watch(
      (count) => changes.push(count),
      ({ message }) => faults.push(message),
    ),
  );
  expect(keys.nameOf('delta')).toBe('key-3');
  replace('beta\ngamma alice\ndelta\n');
  await expect.poll(() => changes, { timeout: 10_000 }).toEqual([4]);
  expect(['always', 'beta', 'gamma', 'delta'].map((key) => keys.nameOf(key))).toEqual([
    'key-1',
    'key-4',
    'alice',
    'key-3',
  ]);
  expect(keys.nameOf('alpha')).toBeNull();
  for (const key of ['always', 'beta', 'gamma']) expect(keys.nameOf(key)).not.toBeNull();
  replace('# none\n');
  await expect.poll(() => faults, { timeout: 10_000 }).toEqual(['ALTUP_API_KEYS_FILE: holds no key']);
  expect(keys.nameOf('beta')).not.toBeNull();
  expect(keys.isOpen).toBe(false);
});
