import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isCheckpointLike, missingFiles, missingWeights } from '../catalog/missing-files.ts';
import { ConfigurationError } from '../errors.ts';
import { type HubName, nameOfFolder, readHubName } from '../hub/hub-name.ts';

/** Where a model's checkpoint is: in a folder, on the hub, or nowhere, with the reason. */
type ModelPlace = { folder: string } | { hub: HubName } | { reason: string };

export interface ModelSource {
  /** Name of the model in the service. */
  id: string;
  place: ModelPlace;
  /** The configured path or hub name that led to it. */
  path: string;
}

/**
 * Finds the models that `paths` name. Each path is a model folder (it has a config.json), a folder of model folders, or
 * a model of the hub. A path that is none of these is listed with the reason, so that the others can be served.
 * @returns in the order of the paths, and by name within a folder of models
 * @throws ConfigurationError when two models have the same name
 */
export async function findSources(paths: readonly string[]): Promise<ModelSource[]> {
  const found = new Map<string, ModelSource>();
  for (const path of paths) {
    for (const source of await sourcesAt(path)) {
      const other = found.get(source.id);
      // Two paths that name the same folder give one model.
      if (other && isSamePlace(other.place, source.place)) continue;
      if (other) {
        const places = [other, source].map(({ place }) => inWords(place));
        throw new ConfigurationError(`two models are called ${source.id}: ${places.join(' and ')}`);
      }
      found.set(source.id, source);
    }
  }
  return [...found.values()];
}

/** What has changed. A model that moved is both removed and added. @param known by id */
export function changesTo(
  known: ReadonlyMap<string, ModelSource>,
  found: readonly ModelSource[],
): { added: ModelSource[]; removed: string[] } {
  const isKnown = ({ id, place }: ModelSource) => {
    const before = known.get(id);
    return before !== undefined && isSamePlace(before.place, place);
  };
  const stays = new Set(found.filter(isKnown).map(({ id }) => id));
  return {
    added: found.filter((source) => !isKnown(source)),
    removed: [...known.keys()].filter((id) => !stays.has(id)),
  };
}

const isSamePlace = (a: ModelPlace, b: ModelPlace) => JSON.stringify(a) === JSON.stringify(b);

function inWords(place: ModelPlace): string {
  if ('folder' in place) return place.folder;
  return 'hub' in place ? `${place.hub.repo}@${place.hub.revision} on the hub` : place.reason;
}

const isModelFolder = (folder: string) => existsSync(join(folder, 'config.json'));

async function sourcesAt(path: string): Promise<ModelSource[]> {
  const hub = readHubName(path);
  if (hub) return [{ id: basename(hub.repo), place: { hub }, path }];
  const whole = resolve(path);
  try {
    const folders = isModelFolder(whole) ? [whole] : await modelFoldersIn(whole);
    return folders.map((folder) => ({ id: nameOfFolder(folder), place: { folder }, path }));
  } catch (error) {
    return [{ id: basename(whole), place: { reason: (error as Error).message }, path }];
  }
}

function fileError(file: string): ConfigurationError {
  const names = [basename(file)];
  const problem = isCheckpointLike(names) ? missingWeights(names) : null;
  return new ConfigurationError(`${file}: ${problem ?? 'is a file; name its folder'}`);
}

async function modelFoldersIn(path: string): Promise<string[]> {
  const names = await readdir(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOTDIR') throw fileError(path);
    throw new ConfigurationError(`${path}: cannot be read as a folder: ${cause.message}`, { cause });
  });
  if (isCheckpointLike(names)) throw new ConfigurationError(`${path}: ${missingFiles(names)}`);
  const folders = names
    .sort()
    .map((name) => join(path, name))
    .filter(isModelFolder);
  if (folders.length > 0) return folders;
  throw new ConfigurationError(
    `${path}: holds no model; expected a config.json in it or in a folder below it`,
  );
}
