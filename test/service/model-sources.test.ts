import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findSources } from '../../src/service/model-sources.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A folder with a model folder for each name, and two entries that are not models. */
async function folderOf(...names: string[]): Promise<string> {
  const folder = await temporaryFolder();
  for (const name of names) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'config.json'), '{}');
  }
  await mkdir(join(folder, 'not-a-model'));
  await writeFile(join(folder, 'README.md'), '');
  return folder;
}

describe('findSources', () => {
  it('finds the models in a folder, by name', async () => {
    const folder = await folderOf('b', 'a');
    expect(await findSources([folder])).toEqual([
      { id: 'a', place: { folder: join(folder, 'a') }, path: folder },
      { id: 'b', place: { folder: join(folder, 'b') }, path: folder },
    ]);
  });

  it('takes a model folder itself, in the order of the paths', async () => {
    const [one, other] = [await folderOf('a', 'z'), await folderOf('m')];
    const found = await findSources([join(one, 'z'), other, `${join(one, 'a')}/`]);
    expect(found.map(({ id }) => id)).toEqual(['z', 'm', 'a']);
  });

  it('takes a folder named twice for one model', async () => {
    const folder = await folderOf('a');
    expect(await findSources([folder, join(folder, 'a')])).toHaveLength(1);
  });

  it('refuses two models of one name, naming both', async () => {
    const [one, other] = [await folderOf('a'), await folderOf('a')];
    await expect(findSources([one, other])).rejects.toThrow(
      `two models are called a: ${join(one, 'a')} and ${join(other, 'a')}`,
    );
  });

  it('says what is wrong with folders without models and paths that are not folders', async () => {
    const folder = await folderOf();
    const paths = [folder, join(folder, 'README.md'), join(folder, 'gone')];
    expect(await findSources(paths)).toEqual([
      {
        id: basename(folder),
        place: { reason: expect.stringContaining(`${folder}: holds no model; expected a config.json`) },
        path: folder,
      },
      {
        id: 'README.md',
        place: { reason: expect.stringMatching(/README\.md: is a file; name its folder/) },
        path: paths[1],
      },
      {
        id: 'gone',
        place: { reason: expect.stringMatching(/gone: cannot be read as a folder/) },
        path: paths[2],
      },
    ]);
  });

  it.each([
    [['model.gguf'], 'holds GGUF files'],
    [['adapter_config.json', 'adapter_model.safetensors'], 'holds a LoRA adapter'],
    [['pytorch_model.bin'], 'holds its weights as pytorch_model.bin'],
    [['pytorch_model-00001-of-00002.bin'], 'holds its weights as pytorch_model.bin'],
    [['tf_model.h5'], 'holds weights of another framework'],
    [['model-00001-of-00002.safetensors'], 'holds shards without their model.safetensors.index.json'],
    [['model.safetensors'], 'has no config.json'],
    [['tokenizer.model'], 'has no weights'],
  ])('says what a folder of %s is', async (files, problem) => {
    const folder = await temporaryFolder();
    for (const file of files) await writeFile(join(folder, file), '');
    const [found] = await findSources([folder]);
    expect(found!.place).toEqual({ reason: expect.stringContaining(`${folder}: ${problem}`) });
  });

  it('says what is in a file that is named instead of a folder', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'model.gguf'), '');
    await writeFile(join(folder, 'model.safetensors'), '');
    const [gguf, weights] = await findSources([
      join(folder, 'model.gguf'),
      join(folder, 'model.safetensors'),
    ]);
    expect(gguf!.place).toEqual({ reason: expect.stringContaining('model.gguf: holds GGUF files') });
    expect(weights!.place).toEqual({ reason: expect.stringContaining('is a file; name its folder') });
  });

  it('takes names of the hub, and names a folder of its cache after the repository', async () => {
    const snapshot = join(await temporaryFolder(), 'models--google--gemma-3-1b/snapshots/c0ffee');
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(snapshot, 'config.json'), '{}');
    const found = await findSources([snapshot, 'google/gemma-3n-E2B-it@v1']);
    expect(found.map(({ id, place }) => [id, place])).toEqual([
      ['gemma-3-1b', { folder: snapshot }],
      ['gemma-3n-E2B-it', { hub: { repo: 'google/gemma-3n-E2B-it', revision: 'v1' } }],
    ]);
    await expect(findSources(['a/b', 'c/b'])).rejects.toThrow(
      'two models are called b: a/b@main on the hub and c/b@main on the hub',
    );
  });
});
