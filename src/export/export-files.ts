import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Manifest } from '../catalog/manifest.ts';

export type ExportedFiles = Manifest['files'];

/** Each start reads the graph files whole (weights are separate), so each start also checks their content. */
const isGraph = (file: string) => file.endsWith('.onnx');

/** Size and SHA-256 of each file in `folder`, sorted by name. */
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
 * Returns one sentence for each damaged file of an export, an empty list if there are none.
 * @param files as recorded in the manifest
 * @param isThorough also reads the weights, not only their sizes
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
      if (now.size !== size) return `${path}: has ${now.size} bytes, but the exporter wrote ${size}`;
      if (!isThorough && !isGraph(file)) return null;
      if ((await sha256Of(path)) !== sha256) return `${path}: its bytes differ from those the exporter wrote`;
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
