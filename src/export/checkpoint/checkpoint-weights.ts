import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { missingWeights } from '../../catalog/missing-files.ts';
import { ConfigurationError } from '../../errors.ts';
import { SafetensorsFile } from './safetensors-file.ts';
import type { TensorEntry } from './safetensors-header.ts';
import { readShardIndex } from './shard-index.ts';

export const singleFile = 'model.safetensors';
export const indexFile = 'model.safetensors.index.json';

/** The error for a folder without weights. It says what the folder holds instead. */
export async function noWeights(folder: string): Promise<ConfigurationError> {
  const names = await readdir(folder);
  const broken = 'its weights are a link to a missing file; download the checkpoint again';
  return new ConfigurationError(`${folder}: ${missingWeights(names) ?? broken}`);
}

/** All tensors of a checkpoint folder, from one file or from shards. Keeps the files open until `close`. */
export class CheckpointWeights {
  readonly folder: string;
  /** Tensor name → the file that holds it. */
  readonly #files: ReadonlyMap<string, SafetensorsFile>;
  readonly #open: readonly SafetensorsFile[];

  private constructor(folder: string, files: Map<string, SafetensorsFile>, open: SafetensorsFile[]) {
    this.folder = folder;
    this.#files = files;
    this.#open = open;
  }

  static async open(folder: string): Promise<CheckpointWeights> {
    if (existsSync(join(folder, singleFile))) {
      const file = await SafetensorsFile.open(join(folder, singleFile));
      return new CheckpointWeights(folder, new Map([...file.tensors.keys()].map((name) => [name, file])), [
        file,
      ]);
    }
    if (!existsSync(join(folder, indexFile))) throw await noWeights(folder);
    return await openShards(folder, (files, open) => new CheckpointWeights(folder, files, open));
  }

  get names(): Iterable<string> {
    return this.#files.keys();
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  entry(name: string): TensorEntry {
    return this.#fileOf(name).tensors.get(name)!;
  }

  pathOf(name: string): string {
    return this.#fileOf(name).path;
  }

  /** Reads bytes of a tensor as stored. */
  async read(name: string, offset?: number, length?: number): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#fileOf(name).read(name, offset, length);
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((file) => file.close()));
  }

  #fileOf(name: string): SafetensorsFile {
    const file = this.#files.get(name);
    if (!file) throw new ConfigurationError(`${this.folder}: the checkpoint has no tensor ${name}`);
    return file;
  }
}

async function openShards<T>(
  folder: string,
  done: (files: Map<string, SafetensorsFile>, open: SafetensorsFile[]) => T,
): Promise<T> {
  const indexPath = join(folder, indexFile);
  const index = await readShardIndex(indexPath);
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const [name, fileName] of index) {
      const path = join(folder, fileName);
      if (!existsSync(path))
        throw new ConfigurationError(`${indexPath}: ${name} is in ${fileName}, which is missing`);
      const shard = shards.get(fileName) ?? (await SafetensorsFile.open(path));
      shards.set(fileName, shard);
      if (!shard.tensors.has(name))
        throw new ConfigurationError(`${indexPath}: ${fileName} has no tensor ${name}`);
    }
    for (const [fileName, shard] of shards) {
      for (const name of shard.tensors.keys()) {
        // This also catches a tensor in two shards, because the index names only one of them.
        if (index.get(name) === fileName) continue;
        throw new ConfigurationError(
          `${shard.path}: holds ${name}, but ${indexFile} does not list it for this file`,
        );
      }
    }
  } catch (error) {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
    throw error;
  }
  const files = new Map([...index].map(([name, fileName]) => [name, shards.get(fileName)!]));
  return done(files, [...shards.values()]);
}
