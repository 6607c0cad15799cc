import { inOneLine } from '../catalog/checkpoint-file.ts';
import { ConfigurationError } from '../errors.ts';

/** What to do about a fault of the file system, by its code. */
const remedies: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space, or export elsewhere with --out',
  EDQUOT: 'the quota is used up; free some space, or export elsewhere with --out',
  EFBIG: 'the file system takes no file this large; export elsewhere with --out',
  EROFS: 'the file system is read-only; export elsewhere with --out',
  EACCES: 'this user may not open it; change its permissions',
  EPERM: 'this user may not open it; change its permissions',
  EISDIR: 'is a folder; expected a file',
  ENOTDIR: 'a part of the path is a file; expected folders',
  ENOENT: 'is missing; copy the checkpoint again',
  ENXIO: 'is no regular file; copy the checkpoint again',
  ELOOP: 'is a link that leads to itself; copy the checkpoint again',
  EMFILE: 'this process has too many files open; raise its limit (ulimit -n)',
  EIO: 'the disk has a fault; copy the checkpoint to another one',
};

/** Longest reason that is shown: a message may quote what a checkpoint holds. */
const maxCharacters = 500;

/**
 * Any failure of an export as one line for people: file, reason, remedy. The error itself stays its `cause`.
 * An aborted export keeps its reason.
 */
export function exportError(error: unknown, checkpoint: string): Error {
  if (error instanceof ConfigurationError) return error;
  if (!(error instanceof Error)) return new ConfigurationError(`${checkpoint}: ${String(error)}`);
  if (error.name === 'AbortError') return error;
  const { code, path } = error as NodeJS.ErrnoException;
  const remedy = code === undefined ? undefined : remedies[code];
  const reason = inOneLine(error.message).slice(0, maxCharacters);
  const line =
    remedy === undefined
      ? `${checkpoint}: cannot be exported: ${reason}`
      : `${path ?? checkpoint}: ${remedy} (${code})`;
  return new ConfigurationError(line, { cause: error });
}
