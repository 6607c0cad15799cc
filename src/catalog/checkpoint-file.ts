import { readFileSync, statSync } from 'node:fs';
import { ConfigurationError } from '../errors.ts';

const lfsPointer = 'version https://git-lfs.github.com/spec/';

/**
 * The size of a checkpoint's file, in bytes. Opening anything but a regular file may wait for ever (a pipe) or have no end.
 * @throws ConfigurationError for a folder, a pipe, a device
 */
export function regularFileSize(path: string): number {
  const found = statSync(path);
  if (found.isFile()) return found.size;
  throw new ConfigurationError(
    `${path}: is ${found.isDirectory() ? 'a folder' : 'a pipe or a device'}; expected a file`,
  );
}

/** A message may quote a file, line breaks and all. */
export const inOneLine = (message: string) => message.replace(/\s+/g, ' ');

/** @throws ConfigurationError where a file holds not what it is called after, but where Git LFS has that */
export function refuseLfsPointer(path: string, beginning: string): void {
  if (!beginning.startsWith(lfsPointer)) return;
  throw new ConfigurationError(
    `${path}: is a Git LFS pointer instead of the file itself; run \`git lfs pull\` in its folder`,
  );
}

/**
 * A small file of a checkpoint.
 * @param mostBytes several times what such files have
 * @throws ConfigurationError for what is no regular file, too large or a Git LFS pointer; what the file system throws
 */
export function readCheckpointFile(path: string, mostBytes: number): string {
  const size = regularFileSize(path);
  if (size > mostBytes)
    throw new ConfigurationError(`${path} has ${size} bytes; at most ${mostBytes} are read.`);
  const text = readFileSync(path, 'utf8');
  refuseLfsPointer(path, text);
  return text;
}
