import { existsSync } from 'node:fs';
import { copyFile, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointWeights } from '../checkpoint/checkpoint-weights.ts';
import { bytesPerElement, type Dtype } from '../checkpoint/dtypes.ts';
import { publishFolder } from '../publish-folder.ts';
import type { ExportProgress } from '../write-export.ts';

export interface DerivedOptions {
  onProgress: (progress: ExportProgress) => void;
  signal: AbortSignal;
}

/** A tensor of a derived checkpoint. */
export interface DerivedTensor {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  /** The bytes, in order. */
  pieces(): AsyncIterable<Uint8Array>;
}

export interface Derived {
  tensors: readonly DerivedTensor[];
  /** config.json, if it differs from the base's. */
  config?: object;
  /** Folders with other files that replace the base's. */
  overriding?: readonly string[];
}

/** Records what a derived folder was made from. Its presence marks the folder as ours. */
const recordFile = 'derived-from.json';
/** Files that a checkpoint needs next to its weights and config.json. */
const otherFiles = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];
/** Maximum number of bytes copied at a time. */
export const pieceBytes = 2 ** 24;

/**
 * Writes a checkpoint derived from `base`, unless `out` already holds one made from the same inputs.
 * @param from the other inputs, recorded to notice a change; folders as returned by `filesOf`
 */
export async function writeDerived(
  base: string,
  out: string,
  from: object,
  derive: (weights: CheckpointWeights) => Promise<Derived>,
  options: DerivedOptions,
): Promise<{ isNew: boolean }> {
  const record = JSON.stringify({ base: await filesOf(base), ...from });
  const before = await readFile(join(out, recordFile), 'utf8').catch(() => null);
  if (before === record) return { isNew: false };
  await publishFolder(out, recordFile, async (folder) => {
    const weights = await CheckpointWeights.open(base);
    try {
      const derived = await derive(weights);
      await writeWeights(join(folder, 'model.safetensors'), derived.tensors, options);
      await writeOtherFiles(base, folder, derived);
    } finally {
      await weights.close();
    }
    await writeFile(join(folder, recordFile), record);
  });
  return { isNew: true };
}

/** Size and modification time of each file, by name; links are followed. */
export async function filesOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => /\.(json|safetensors|jinja)$/.test(name)).sort();
  const found = names.map(async (name) => {
    const { size, mtimeMs } = await stat(join(folder, name));
    return [name, `${size} ${mtimeMs}`] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

/** A tensor of the base, copied unchanged under the name `as`. */
export function unchanged(weights: CheckpointWeights, name: string, as = name): DerivedTensor {
  const { dtype, shape, begin, end } = weights.entry(name);
  return {
    name: as,
    dtype,
    shape,
    async *pieces() {
      for (let at = 0; at < end - begin; at += pieceBytes)
        yield await weights.read(name, at, Math.min(pieceBytes, end - begin - at));
    },
  };
}

async function writeOtherFiles(
  base: string,
  folder: string,
  { config, overriding = [] }: Derived,
): Promise<void> {
  if (config) await writeFile(join(folder, 'config.json'), JSON.stringify(config, null, 2));
  else await copyFile(join(base, 'config.json'), join(folder, 'config.json'));
  for (const name of otherFiles) {
    const from = [...overriding, base].map((each) => join(each, name)).find((path) => existsSync(path));
    if (from !== undefined) await copyFile(from, join(folder, name));
  }
}

const sizeOf = ({ dtype, shape }: DerivedTensor) =>
  shape.reduce((product, size) => product * size, bytesPerElement[dtype]);

async function writeWeights(
  path: string,
  tensors: readonly DerivedTensor[],
  { onProgress, signal }: DerivedOptions,
): Promise<void> {
  const totalBytes = tensors.reduce((sum, tensor) => sum + sizeOf(tensor), 0);
  let end = 0;
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    header[name] = { dtype, shape, data_offsets: [end, end + sizeOf(tensor)] };
    end += sizeOf(tensor);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(path, 'wx');
  try {
    await file.writeFile(Buffer.concat([length, json]));
    let doneBytes = 0;
    for (const tensor of tensors) {
      for await (const piece of tensor.pieces()) {
        signal.throwIfAborted();
        await file.writeFile(piece);
        doneBytes += piece.byteLength;
        onProgress({ doneBytes, totalBytes });
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
