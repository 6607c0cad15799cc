// Run by an init container: node fetch-models.ts FILES_JSON FOLDER. Fetches files into FOLDER; one whose SHA-256 is not the
// expected one never gets its name there, and ends the pod's start.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

interface ModelFile {
  url: string;
  path: string;
  sha256: string;
}

const attempts = 5;

async function digestOf(path: string): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch {
    return null;
  }
  return hash.digest('hex');
}

async function fetchInto(url: string, path: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url);
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      return await pipeline(Readable.fromWeb(response.body), createWriteStream(path));
    } catch (error) {
      if (attempt === attempts) throw new Error(`${url}: ${(error as Error).message}`);
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}

async function fetchModel({ url, path, sha256 }: ModelFile, folder: string): Promise<void> {
  const target = join(folder, normalize(join('/', path)));
  // A restarted pod keeps its volume.
  if ((await digestOf(target)) === sha256) return;
  const partial = `${target}.partial`;
  await mkdir(dirname(target), { recursive: true });
  await fetchInto(url, partial);
  const found = await digestOf(partial);
  if (found !== sha256) {
    await rm(partial);
    throw new Error(`${url}: its SHA-256 is ${found}; expected ${sha256}`);
  }
  await rename(partial, target);
  console.log(`${target}: fetched`);
}

const [, , list, folder] = process.argv;
if (!list || !folder) throw new Error('usage: node fetch-models.ts FILES_JSON FOLDER');
for (const file of JSON.parse(await readFile(list, 'utf8')) as ModelFile[]) await fetchModel(file, folder);
