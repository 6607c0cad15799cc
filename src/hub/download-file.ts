import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout } from 'node:timers/promises';
import { ConfigurationError } from '../errors.ts';
import { partialFile } from './partial-file.ts';

export interface HubFile {
  /** Path in the repository. */
  path: string;
  /** Bytes. */
  size: number;
  /** Digest of the content, which names the blob in the cache: sha256 for a large file, git's sha1 for a small one. */
  digest: string;
}

export interface FileSource {
  /** Returns the file from byte `offset` on. */
  open(file: HubFile, offset: number): Promise<Blob>;
  onBytes(count: number): void;
  signal: AbortSignal;
}

/** Consecutive tries without a new byte before the download gives up, and the base of the pause, which doubles. */
const maxFruitlessTries = 5;
const pauseMs = 500;

/**
 * Downloads a file into the cache of Hugging Face's libraries: `blobs/<digest>`, with a link to it in the snapshot. A
 * broken download keeps its bytes: the next try, even by another process, continues from there. Processes that download
 * the same file at the same time do not disturb each other.
 * @param cache folder of the repository in the cache
 * @throws ConfigurationError if the file cannot be downloaded or does not match its digest
 */
export async function downloadFile(
  cache: string,
  commit: string,
  file: HubFile,
  source: FileSource,
): Promise<void> {
  const link = join(cache, 'snapshots', commit, file.path);
  const blob = join(cache, 'blobs', file.digest);
  await mkdir(dirname(link), { recursive: true });
  await mkdir(dirname(blob), { recursive: true });
  const isThere = (await sizeOf(blob)) === file.size;
  if (isThere) source.onBytes(file.size);
  else await fetchBlob(blob, file, source);
  await rm(link, { force: true });
  // Relative, so that the cache can be moved.
  await symlink(relative(dirname(link), blob), link);
}

async function fetchBlob(blob: string, file: HubFile, source: FileSource): Promise<void> {
  const partial = await partialFile(blob);
  let have = (await sizeOf(partial)) ?? 0;
  if (have > file.size) {
    await rm(partial);
    have = 0;
  }
  source.onBytes(have);
  for (let fruitless = 0; have !== file.size; ) {
    source.signal.throwIfAborted();
    const failure = await append(partial, have, file, source);
    const now = (await sizeOf(partial)) ?? 0;
    if (now > file.size) {
      await rm(partial);
      throw new ConfigurationError(
        `${file.path}: the hub sent more than its ${file.size} bytes; start again, or download it by other means`,
      );
    }
    fruitless = now > have ? 0 : fruitless + 1;
    have = now;
    if (have === file.size) break;
    if (fruitless === maxFruitlessTries) {
      throw new ConfigurationError(
        `${file.path}: the download stopped at ${have} of ${file.size} bytes (${failure}); start again to continue from there`,
      );
    }
    if (fruitless > 0) await setTimeout(pauseMs * 2 ** fruitless, undefined, { signal: source.signal });
  }
  await requireDigest(partial, file);
  await rename(partial, blob);
}

/** @returns why the transfer ended, which matters if it ended early */
async function append(partial: string, have: number, file: HubFile, source: FileSource): Promise<string> {
  try {
    const blob = await source.open(file, have);
    const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        source.onBytes(chunk.length);
        yield chunk;
      }
    };
    const body = Readable.fromWeb(blob.stream() as ReadableStream);
    await pipeline(body, counted, createWriteStream(partial, { flags: 'a' }), { signal: source.signal });
    return 'the connection was closed';
  } catch (error) {
    source.signal.throwIfAborted();
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof ConfigurationError || code === 'ENOSPC' || code === 'EACCES') throw error;
    return error instanceof Error ? error.message : String(error);
  }
}

async function requireDigest(path: string, { path: name, size, digest }: HubFile): Promise<void> {
  const isSha256 = digest.length === 64;
  const hash = createHash(isSha256 ? 'sha256' : 'sha1');
  if (!isSha256) hash.update(`blob ${size}\0`);
  await pipeline(createReadStream(path), async (chunks) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
  const found = hash.digest('hex');
  if (found === digest) return;
  await rm(path);
  throw new ConfigurationError(
    `${name}: arrived damaged (digest ${found}, expected ${digest}); it was removed, start again`,
  );
}

/** null: the file does not exist. */
const sizeOf = async (path: string) => (await stat(path).catch(() => null))?.size ?? null;
