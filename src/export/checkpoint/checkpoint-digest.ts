import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { regularFileSize } from '../../catalog/checkpoint-file.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import { ConfigurationError } from '../../errors.ts';
import { indexFile, noWeights, singleFile } from './checkpoint-weights.ts';
import { readShardIndex } from './shard-index.ts';

export type SourceFiles = Manifest['source'];

/** Lists the files that an export depends on: config and weights. The tokenizer is not exported. */
export async function listSourceFiles(folder: string): Promise<SourceFiles> {
  const configs = ['config.json', 'generation_config.json'].filter((file) => existsSync(join(folder, file)));
  const files = [...configs, ...(await weightFiles(folder))].sort();
  return await Promise.all(
    files.map(async (file) => {
      regularFileSize(join(folder, file));
      const found = await stat(join(folder, file)).catch((cause: Error) => {
        throw new ConfigurationError(`${join(folder, file)}: cannot be read: ${cause.message}`, { cause });
      });
      return { file, size: found.size, mtimeMs: found.mtimeMs };
    }),
  );
}

async function weightFiles(folder: string): Promise<string[]> {
  if (existsSync(join(folder, singleFile))) return [singleFile];
  if (existsSync(join(folder, indexFile))) {
    const shards = await readShardIndex(join(folder, indexFile));
    return [indexFile, ...new Set(shards.values())];
  }
  throw await noWeights(folder);
}

/** Compares names, sizes and modification times, without reading the files. */
export function isSameFiles(a: SourceFiles, b: SourceFiles): boolean {
  const key = (files: SourceFiles) =>
    files.map(({ file, size, mtimeMs }) => `${file} ${size} ${mtimeMs}`).join('\n');
  return key(a) === key(b);
}

/** SHA-256 (hex) over the names, sizes and contents of the files. */
export async function digestOf(folder: string, files: SourceFiles): Promise<string> {
  const hash = createHash('sha256');
  for (const { file, size } of files) {
    hash.update(`${file}\0${size}\0`);
    await pipeline(createReadStream(join(folder, file)), async (chunks) => {
      for await (const chunk of chunks) hash.update(chunk);
    });
  }
  return hash.digest('hex');
}
