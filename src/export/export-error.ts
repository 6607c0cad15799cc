import { inOneLine } from '../catalog/checkpoint-file.ts';
import { ConfigurationError } from '../errors.ts';

/** Problem and remedy for each file system error code. */
const remedies: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space, or export elsewhere with --out',
  EDQUOT: 'the quota is used up; free some space, or export elsewhere with --out',
  EFBIG: 'the file system does not support files this large; export elsewhere with --out',
  EROFS: 'the file system is read-only; export elsewhere with --out',
  EACCES: 'this user may not open it; change its permissions',
  EPERM: 'this user may not open it; change its permissions',
  EISDIR: 'is a folder; expected a file',
  ENOTDIR: 'a part of the path is a file; expected folders',
  ENOENT: 'is missing; copy the checkpoint again',
  ENXIO: 'is not a regular file; copy the checkpoint again',
  ELOOP: 'is a link that leads to itself; copy the checkpoint again',
  EMFILE: 'this process has too many files open; raise its limit (ulimit -n)',
  EIO: 'the disk has a fault; copy the checkpoint to another one',
};

/** Maximum length of a reason: an error message may quote checkpoint content. */
const maxCharacters = 500;

/**
 * Turns any export failure into one readable line: file, reason, remedy. The original error becomes its `cause`.
 * An AbortError is returned unchanged.
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
