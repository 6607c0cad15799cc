import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointWeights } from '../../../src/export/checkpoint/checkpoint-weights.ts';
import { float32, type WrittenTensor, writeSafetensors } from '../../support/safetensors-writer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const first = 'model-00001-of-00002.safetensors';
const second = 'model-00002-of-00002.safetensors';

async function shards(
  weightMap: unknown,
  files: Record<string, Record<string, WrittenTensor>>,
): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  for (const [file, tensors] of Object.entries(files)) await writeSafetensors(join(folder, file), tensors);
  return folder;
}

const a = float32([1], [1]);
const b = float32([1], [2]);

describe('CheckpointWeights', () => {
  it('reads tensors from whichever shard holds them', async () => {
    const folder = await shards({ a: first, b: second }, { [first]: { a }, [second]: { b } });
    const weights = await CheckpointWeights.open(folder);
    expect([...weights.names]).toEqual(['a', 'b']);
    expect(await weights.read('b')).toEqual(b.bytes);
    expect(weights.pathOf('b')).toBe(join(folder, second));
    expect(() => weights.entry('c')).toThrow(/has no tensor c/);
    await weights.close();
  });

  it('says that a link leads nowhere', async () => {
    const folder = await temporaryFolder();
    await symlink('../../blobs/gone', join(folder, 'model.safetensors'));
    await expect(CheckpointWeights.open(folder)).rejects.toThrow(/a link to a missing file/);
  });

  it('prefers the single file, as Hugging Face does', async () => {
    const folder = await shards({ a: first }, { [first]: { a }, 'model.safetensors': { b } });
    const weights = await CheckpointWeights.open(folder);
    expect([...weights.names]).toEqual(['b']);
    await weights.close();
  });

  it.each<[string, unknown, Record<string, Record<string, WrittenTensor>>, RegExp]>([
    [
      'a shard that is missing',
      { a: first },
      {},
      /a is in model-00001-of-00002.safetensors, which is missing/,
    ],
    ['a tensor that its shard lacks', { a: first, c: first }, { [first]: { a } }, /has no tensor c/],
    [
      'a tensor the index does not name',
      { a: first },
      { [first]: { a, b } },
      /holds b, but .* does not list it for this file/,
    ],
    [
      'a tensor in two shards',
      { a: first, b: second },
      { [first]: { a }, [second]: { a, b } },
      /holds a, but model.safetensors.index.json does not list it/,
    ],
    [
      'a path out of the folder',
      { a: '../other.safetensors' },
      {},
      /weight_map\.a is "\.\.\/other\.safetensors"/,
    ],
    ['an absolute path', { a: '/etc/model.safetensors' }, {}, /without a folder/],
    ['a Windows path', { a: '..\\other.safetensors' }, {}, /without a folder/],
    ['a file of another kind', { a: 'passwd' }, {}, /expected a \.safetensors file name/],
    ['a file that is not text', { a: 1 }, {}, /weight_map\.a is 1/],
    ['no weight_map', undefined, {}, /weight_map is missing/],
  ])('refuses %s', async (_what, weightMap, files, message) => {
    const opened = CheckpointWeights.open(await shards(weightMap, files));
    await expect(opened).rejects.toThrow(message);
    await expect(opened).rejects.toHaveProperty('name', 'ConfigurationError');
  });

  it('refuses an index that is not JSON and a folder without weights', async () => {
    const folder = await temporaryFolder();
    await expect(CheckpointWeights.open(folder)).rejects.toThrow(
      /has no weights; expected model.safetensors or/,
    );
    await writeFile(join(folder, 'model.safetensors.index.json'), '{');
    await expect(CheckpointWeights.open(folder)).rejects.toThrow(/is not valid JSON/);
  });
});
