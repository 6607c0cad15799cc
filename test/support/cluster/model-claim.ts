import { cp, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import { kubectl } from './release.ts';
import { servedModels } from './service-load.ts';

/**
 * Creates a claim bound to a volume with the models that load asks for, exported, from the image.
 * @returns the folder, which the nodes share
 */
export async function claimFolder(namespace: string, name: string): Promise<string> {
  const { folder } = inject('cluster');
  const models = join(folder, 'claims', namespace, name);
  await mkdir(models, { recursive: true });
  for (const model of servedModels) {
    await cp(join(folder, 'models', model), join(models, model), { recursive: true });
  }
  const size = { storage: '1Gi' };
  const common = { accessModes: ['ReadOnlyMany'], storageClassName: '' };
  await kubectl().apply([
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `${namespace}-${name}` },
      spec: { ...common, capacity: size, hostPath: { path: models }, claimRef: { namespace, name } },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace },
      spec: { ...common, resources: { requests: size }, volumeName: `${namespace}-${name}` },
    },
  ]);
  return models;
}

/** Cuts the weights of a model in half, in its export and its checkpoint. */
export async function damageModel(models: string, model: string): Promise<void> {
  const files = await readdir(join(models, model), { recursive: true, withFileTypes: true });
  const large = files.filter(({ name }) => /\.(safetensors|data|bin)$/.test(name));
  if (large.length === 0) throw new Error(`${model} has no weights`);
  for (const { parentPath, name } of large) {
    const file = await open(join(parentPath, name), 'r+');
    await file.truncate(Math.floor((await file.stat()).size / 2));
    await file.close();
  }
}

/** Values of a chart whose pods have only the models that load asks for: they are ready sooner than with all of the image. */
export async function fewModels(namespace: string): Promise<object> {
  await claimFolder(namespace, 'models');
  return { source: 'pvc', pvc: { claimName: 'models' } };
}
