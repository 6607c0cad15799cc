import { existsSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

/** A model on a hub. */
export interface HubName {
  /** `<organisation>/<model>` */
  repo: string;
  /** Branch, tag or commit. */
  revision: string;
}

const pattern = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?$/;

/**
 * Reads `google/gemma-3n-E2B-it` or `google/gemma-3n-E2B-it@<branch, tag or commit>`. An existing path is a path, and
 * so is any text that begins with `.`, `~` or `/`.
 * @returns null for a path
 */
export function readHubName(text: string): HubName | null {
  if (existsSync(text)) return null;
  const [, repo, revision = 'main'] = pattern.exec(text) ?? [];
  return repo === undefined ? null : { repo, revision };
}

/**
 * The name of a model folder: the folder's own, or the repository's if the folder lies in the cache of Hugging Face's
 * libraries, `models--<organisation>--<model>/snapshots/<commit>`.
 */
export function nameOfFolder(folder: string): string {
  const path = resolve(folder);
  const snapshots = dirname(path);
  const [, repository] = /^models--(?:.+--)?(.+?)$/.exec(basename(dirname(snapshots))) ?? [];
  return basename(snapshots) === 'snapshots' && repository !== undefined ? repository : basename(path);
}
