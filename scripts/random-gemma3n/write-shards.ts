import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RandomBfloat16 } from './random-bfloat16.ts';
import type { RandomTensor } from './shape.ts';

const shardBytes = 2e9;
/** Numbers generated and written at a time. */
const pieceSize = 1 << 21;

const countOf = ({ shape }: RandomTensor) => shape.reduce((product, size) => product * size, 1);
const bytesOf = (tensor: RandomTensor) => 2 * countOf(tensor);

/** Writes the tensors as bfloat16 in safetensors shards of at most 2 GB, or of one larger tensor, with their index. */
export async function writeShards(
  folder: string,
  tensors: readonly RandomTensor[],
  random: RandomBfloat16,
): Promise<void> {
  const shards = split(tensors);
  const weightMap: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, '0');
    const file = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    for (const { name } of shard) weightMap[name] = file;
    const handle = await open(join(folder, file), 'w');
    try {
      await writeShard(handle, shard, random);
    } finally {
      await handle.close();
    }
  }
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
    weight_map: weightMap,
  };
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index, null, 2));
}

function split(tensors: readonly RandomTensor[]): RandomTensor[][] {
  const shards: RandomTensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    if (bytesOf(tensor) > room) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)!.push(tensor);
    room -= bytesOf(tensor);
  }
  return shards;
}

async function writeShard(
  file: FileHandle,
  tensors: readonly RandomTensor[],
  random: RandomBfloat16,
): Promise<void> {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map((tensor) => {
      const begin = end;
      end += bytesOf(tensor);
      return [tensor.name, { dtype: 'BF16', shape: tensor.shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' }, ...header }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await file.writeFile(length);
  await file.writeFile(json);
  for (const tensor of tensors) {
    for (let left = countOf(tensor); left > 0; left -= pieceSize) {
      const piece = new Uint16Array(Math.min(left, pieceSize));
      random.fill(piece, tensor.deviation);
      await file.writeFile(new Uint8Array(piece.buffer));
    }
  }
}
