import { readFileSync, statSync } from 'node:fs';
import { ConfigurationError } from '../errors.ts';

const lfsPointer = 'version https://git-lfs.github.com/spec/';

/**
 * The size of a checkpoint's file, in bytes. Only for regular files: opening a pipe may wait for ever, and a device may
 * have no end.
 * @throws ConfigurationError for a folder, a pipe, a device
 */
export function regularFileSize(path: string): number {
  const found = statSync(path);
  if (found.isFile()) return found.size;
  throw new ConfigurationError(
    `${path}: is ${found.isDirectory() ? 'a folder' : 'a pipe or a device'}; expected a file`,
  );
}

/** Puts a message on one line: it may quote a file with its line breaks. */
export const inOneLine = (message: string) => message.replace(/\s+/g, ' ');

/** @throws ConfigurationError if the file is a Git LFS pointer instead of its real content */
export function refuseLfsPointer(path: string, beginning: string): void {
  if (!beginning.startsWith(lfsPointer)) return;
  throw new ConfigurationError(
    `${path}: is a Git LFS pointer instead of the file itself; run \`git lfs pull\` in its folder`,
  );
}

/**
 * Reads a small file of a checkpoint.
 * @param maxBytes maximum size: several times that of such files
 * @throws ConfigurationError if the file is not regular, too large or a Git LFS pointer; errors of the file system
 */
export function readCheckpointFile(path: string, maxBytes: number): string {
  const size = regularFileSize(path);
  if (size > maxBytes) throw new ConfigurationError(`${path} has ${size} bytes; the maximum is ${maxBytes}.`);
  const text = readFileSync(path, 'utf8');
  refuseLfsPointer(path, text);
  return text;
}
