// An init container runs this: node fetch-models.ts DOWNLOADS_JSON FOLDER. It fetches files into FOLDER. A file with an
// unexpected SHA-256 never gets its name there, and the pod's start fails.
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

interface Credential {
  /** Includes the port unless it is the protocol's default. */
  host: string;
  scheme: 'Bearer' | 'Basic';
  /** Contains a token, or for Basic `user:password`. */
  file: string;
}

interface Downloads {
  files: ModelFile[];
  credentials: Credential[];
}

const attempts = 5;
/** Client errors that are retried; any other 4xx is final. */
const retried = new Set([408, 425, 429]);

class FinalError extends Error {}

async function digestOf(path: string): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch {
    return null;
  }
  return hash.digest('hex');
}

/** The Authorization header of each host. */
async function readHeaders(credentials: readonly Credential[]): Promise<Map<string, string>> {
  const headers = new Map<string, string>();
  for (const { host, scheme, file } of credentials) {
    const secret = (await readFile(file, 'utf8')).trim();
    const value = scheme === 'Basic' ? Buffer.from(secret).toString('base64') : secret;
    headers.set(host.toLowerCase(), `${scheme} ${value}`);
  }
  return headers;
}

async function fetchInto(url: string, path: string, headers: ReadonlyMap<string, string>): Promise<void> {
  const authorization = headers.get(new URL(url).host);
  // fetch drops the header when it is redirected to another origin.
  const options = authorization === undefined ? {} : { headers: { authorization } };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(url, options);
      if (response.status >= 400 && response.status < 500 && !retried.has(response.status)) {
        const hint = authorization === undefined ? 'without a credential' : 'with the credential of its host';
        throw new FinalError(`status ${response.status}, asked ${hint} (models.download.credentials)`);
      }
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      return await pipeline(Readable.fromWeb(response.body), createWriteStream(path));
    } catch (error) {
      if (attempt === attempts || error instanceof FinalError)
        throw new Error(`${url}: ${(error as Error).message}`);
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}

async function fetchModel(
  { url, path, sha256 }: ModelFile,
  folder: string,
  headers: ReadonlyMap<string, string>,
): Promise<void> {
  const target = join(folder, normalize(join('/', path)));
  // A restarted pod keeps its volume.
  if ((await digestOf(target)) === sha256) return;
  const partial = `${target}.partial`;
  await mkdir(dirname(target), { recursive: true });
  await fetchInto(url, partial, headers);
  const found = await digestOf(partial);
  if (found !== sha256) {
    await rm(partial);
    throw new Error(`${url}: its SHA-256 is ${found}; expected ${sha256}`);
  }
  await rename(partial, target);
  console.log(`${target}: fetched`);
}

const [, , list, folder] = process.argv;
if (!list || !folder) throw new Error('usage: node fetch-models.ts DOWNLOADS_JSON FOLDER');
const { files, credentials } = JSON.parse(await readFile(list, 'utf8')) as Downloads;
const headers = await readHeaders(credentials);
for (const file of files) await fetchModel(file, folder, headers);
