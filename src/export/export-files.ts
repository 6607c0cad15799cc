import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Manifest } from '../catalog/manifest.ts';

export type ExportedFiles = Manifest['files'];

/** A graph without its weights is read whole at every start, so its content is checked at every start. */
const isGraph = (file: string) => file.endsWith('.onnx');

/** The files in `folder`, by name, as they are on the disk. */
export async function describeFiles(folder: string): Promise<ExportedFiles> {
  const names = (await readdir(folder)).sort();
  return await Promise.all(
    names.map(async (file) => {
      const path = join(folder, file);
      return { file, size: (await stat(path)).size, sha256: await sha256Of(path) };
    }),
  );
}

/**
 * What is wrong with an export's files, one sentence each; none: nothing.
 * @param files as the manifest remembers them
 * @param isThorough reads the weights too, not only their sizes
 */
export async function findDamage(
  folder: string,
  files: ExportedFiles,
  isThorough: boolean,
): Promise<string[]> {
  const found = await Promise.all(
    files.map(async ({ file, size, sha256 }) => {
      const path = join(folder, file);
      const now = await stat(path).catch(() => null);
      if (now === null) return `${path}: is missing`;
      if (!now.isFile()) return `${path}: is not a file`;
      if (now.size !== size) return `${path}: has ${now.size} bytes; ${size} were written`;
      if (!isThorough && !isGraph(file)) return null;
      if ((await sha256Of(path)) !== sha256) return `${path}: holds other bytes than were written`;
      return null;
    }),
  );
  return found.filter((problem) => problem !== null);
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), async (chunks) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
  return hash.digest('hex');
}
