import { join } from 'node:path';
import { SafetensorsFile } from '../../src/export/checkpoint/safetensors-file.ts';
import type { WrittenTensor } from './safetensors-writer.ts';

/** All tensors of a folder's model.safetensors, in a form that can be changed and written again. */
export async function readCheckpoint(folder: string): Promise<Record<string, WrittenTensor>> {
  const file = await SafetensorsFile.open(join(folder, 'model.safetensors'));
  try {
    const tensors: Record<string, WrittenTensor> = {};
    for (const [name, { dtype, shape }] of file.tensors)
      tensors[name] = { dtype, shape, bytes: await file.read(name) };
    return tensors;
  } finally {
    await file.close();
  }
}
