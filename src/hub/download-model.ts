import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  getHFHubCachePath,
  getRepoFolderName,
  HubApiError,
  type ListFileEntry,
  listFiles,
  modelInfo,
  downloadFile as openHubFile,
} from '@huggingface/hub';
import { missingFiles } from '../catalog/missing-files.ts';
import { ConfigurationError } from '../errors.ts';
import { downloadFile, type HubFile } from './download-file.ts';
import type { HubName } from './hub-name.ts';

interface DownloadProgress {
  doneBytes: number;
  totalBytes: number;
}

export interface DownloadOptions {
  onProgress?: (progress: DownloadProgress) => void;
  signal?: AbortSignal;
}

/** All files that the service reads from a checkpoint. */
const needed =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$|^chat_template\.jinja$|^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/;
const isCommit = (revision: string) => /^[0-9a-f]{40}$/.test(revision);

/**
 * Downloads a model into the cache of Hugging Face's libraries, or finds it there, and returns its snapshot's folder.
 * Honours the variables of these libraries: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.
 * @throws ConfigurationError with the remedy: no such model, gated, offline, no network, unsupported format
 */
export async function downloadModel(name: HubName, options: DownloadOptions = {}): Promise<string> {
  const { repo, revision } = name;
  const cache = join(getHFHubCachePath(), getRepoFolderName({ type: 'model', name: repo }));
  if (isSet(process.env.HF_HUB_OFFLINE)) return await cachedSnapshot(cache, name);
  const hub = hubAccess();
  try {
    const { sha } = await modelInfo({ ...hub, name: repo, revision, additionalFields: ['sha'] });
    if (!isCommit(sha)) throw new ConfigurationError(`${repo}: the hub names no commit for '${revision}'`);
    const listed = await Array.fromAsync(listFiles({ ...hub, repo, revision: sha }));
    const files = neededFiles(repo, listed);
    await downloadAll(cache, sha, files, { ...options, open: openFile(hub, repo, sha) });
    if (!isCommit(revision)) await writeRef(cache, revision, sha);
    return join(cache, 'snapshots', sha);
  } catch (error) {
    throw hubError(error, name);
  }
}

const isSet = (value: string | undefined) => /^(1|on|yes|true)$/i.test(value ?? '');

interface HubAccess {
  hubUrl: string;
  accessToken?: string;
}

function hubAccess(): HubAccess {
  const home =
    process.env.HF_HOME ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
  const file = process.env.HF_TOKEN_PATH ?? join(home, 'token');
  const token = process.env.HF_TOKEN ?? (existsSync(file) ? readFileSync(file, 'utf8') : '');
  const hubUrl = (process.env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/+$/, '');
  return { hubUrl, ...(token.trim() === '' ? {} : { accessToken: token.trim() }) };
}

/** @throws ConfigurationError if the repository lacks a needed file, saying what it holds instead */
function neededFiles(repo: string, listed: readonly ListFileEntry[]): HubFile[] {
  const problem = missingFiles(listed.map(({ path }) => path));
  if (problem !== null) throw new ConfigurationError(`${repo}: ${problem}`);
  return listed
    .filter(({ type, path }) => type === 'file' && needed.test(path))
    .map(({ path, size, oid = '', lfs }) => ({ path, size: lfs?.size ?? size, digest: lfs?.oid ?? oid }));
}

const openFile =
  (hub: HubAccess, repo: string, revision: string) =>
  async ({ path, size }: HubFile, offset: number): Promise<Blob> => {
    // Plain HTTP with ranges: Xet's chunks cannot be resumed in the middle of a file.
    const blob = await openHubFile({ ...hub, repo, revision, path, xet: false });
    if (!blob) throw new ConfigurationError(`${repo}: has no ${path} at ${revision}`);
    return offset === 0 ? blob : blob.slice(offset, size);
  };

interface Download extends DownloadOptions {
  open: ReturnType<typeof openFile>;
}

async function downloadAll(
  cache: string,
  commit: string,
  files: readonly HubFile[],
  { open, onProgress = () => {}, signal = new AbortController().signal }: Download,
): Promise<void> {
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  let doneBytes = 0;
  const onBytes = (count: number) => {
    doneBytes += count;
    onProgress({ doneBytes, totalBytes });
  };
  // Small files first, so that a problem with a config shows before gigabytes are downloaded.
  for (const file of files.toSorted((a, b) => a.size - b.size)) {
    await downloadFile(cache, commit, file, { open, onBytes, signal });
  }
}

async function writeRef(cache: string, revision: string, commit: string): Promise<void> {
  const path = join(cache, 'refs', revision);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, commit);
}

async function cachedSnapshot(cache: string, { repo, revision }: HubName): Promise<string> {
  const commit = isCommit(revision)
    ? revision
    : await readFile(join(cache, 'refs', revision), 'utf8').catch(() => '');
  const folder = join(cache, 'snapshots', commit.trim());
  if (commit !== '' && existsSync(join(folder, 'config.json'))) return folder;
  throw new ConfigurationError(
    `${repo}: '${revision}' is not in the cache (${cache}), and HF_HUB_OFFLINE is set; download it first`,
  );
}

function hubError(error: unknown, { repo, revision }: HubName): Error {
  if (error instanceof ConfigurationError) return error;
  const refuse = (problem: string) => new ConfigurationError(`${repo}: ${problem}`, { cause: error });
  if (error instanceof HubApiError) {
    const { hubUrl, accessToken } = hubAccess();
    const remedy =
      accessToken === undefined
        ? 'set HF_TOKEN to a token of an account that may read it'
        : 'the account of HF_TOKEN may not read it';
    // A hub also answers 401 for a repository that does not exist.
    if (error.statusCode === 401 || error.statusCode === 403) {
      return refuse(
        `cannot be read, because it is gated, private or missing; ${remedy}, and accept its terms at ${hubUrl}/${repo}`,
      );
    }
    if (error.statusCode === 404) {
      return refuse(`is not a folder here, and the hub has no such model or no revision '${revision}'`);
    }
    return refuse(`the hub answered ${error.statusCode}; try again later`);
  }
  if (error instanceof TypeError && error.message.includes('access token')) {
    return refuse(`HF_TOKEN is not valid: ${error.message}`);
  }
  if (error instanceof TypeError && error.message === 'fetch failed') {
    const { code = 'no answer' } = (error.cause ?? {}) as NodeJS.ErrnoException;
    return refuse(
      `is not a folder here, and the hub cannot be reached (${code}); check the network or HF_ENDPOINT, or name a folder`,
    );
  }
  return error as Error;
}
