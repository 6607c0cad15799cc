import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { ConfigurationError } from '../errors.ts';

export interface ModelFolder {
  /** Name of the folder, and of the model in the service. */
  id: string;
  folder: string;
}

/**
 * Finds the models that `paths` name: each is a model folder (it has a config.json) or a folder of model folders.
 * @returns in the order of the paths, and by name within a folder of models
 */
export async function findModels(paths: readonly string[]): Promise<ModelFolder[]> {
  const found = new Map<string, ModelFolder>();
  for (const path of paths) {
    for (const folder of await modelFoldersAt(resolve(path))) {
      const id = basename(folder);
      const other = found.get(id);
      // One folder that two of the paths name is one model.
      if (other?.folder === folder) continue;
      if (other) throw new ConfigurationError(`two models are called ${id}: ${other.folder} and ${folder}`);
      found.set(id, { id, folder });
    }
  }
  return [...found.values()];
}

const isModelFolder = (folder: string) => existsSync(join(folder, 'config.json'));

async function modelFoldersAt(path: string): Promise<string[]> {
  if (isModelFolder(path)) return [path];
  const names = await readdir(path).catch((cause: Error) => {
    throw new ConfigurationError(`${path}: cannot be read as a folder: ${cause.message}`, { cause });
  });
  const folders = names
    .sort()
    .map((name) => join(path, name))
    .filter(isModelFolder);
  if (folders.length === 0) {
    throw new ConfigurationError(
      `${path}: holds no model; expected a config.json in it or in a folder below it`,
    );
  }
  return folders;
}
