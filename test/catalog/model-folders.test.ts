import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findModels } from '../../src/catalog/model-folders.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A folder with a model folder for each name, and two things that are none. */
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

describe('findModels', () => {
  it('finds the models in a folder, by name', async () => {
    const folder = await folderOf('b', 'a');
    expect(await findModels([folder])).toEqual([
      { id: 'a', folder: join(folder, 'a') },
      { id: 'b', folder: join(folder, 'b') },
    ]);
  });

  it('takes a model folder itself, in the order of the paths', async () => {
    const [one, other] = [await folderOf('a', 'z'), await folderOf('m')];
    const found = await findModels([join(one, 'z'), other, `${join(one, 'a')}/`]);
    expect(found.map(({ id }) => id)).toEqual(['z', 'm', 'a']);
  });

  it('takes a folder named twice for one model', async () => {
    const folder = await folderOf('a');
    expect(await findModels([folder, join(folder, 'a')])).toHaveLength(1);
  });

  it('refuses two models of one name, naming both', async () => {
    const [one, other] = [await folderOf('a'), await folderOf('a')];
    await expect(findModels([one, other])).rejects.toThrow(
      `two models are called a: ${join(one, 'a')} and ${join(other, 'a')}`,
    );
  });

  it('refuses folders without models and paths that are not folders', async () => {
    const folder = await folderOf();
    await expect(findModels([folder])).rejects.toThrow(`${folder}: holds no model; expected a config.json`);
    await expect(findModels([join(folder, 'README.md')])).rejects.toThrow(
      /README\.md: cannot be read as a folder/,
    );
    await expect(findModels([join(folder, 'gone')])).rejects.toThrow(/gone: cannot be read as a folder/);
  });
});
