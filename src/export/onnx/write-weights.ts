import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type TensorProto, TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import type { GraphBuilder } from './graph-builder.ts';
import { elementTypes } from './values.ts';
import { byteLengthOf, type TensorInfo, type Weight } from './weight.ts';

/** Page size: tensors that start on a page boundary can be mapped into memory directly. */
const alignment = 4096;

/** The `.data` file next to a graph: tensors one after another, each starting on a new page. */
class ExternalData {
  readonly #file: FileHandle;
  #size = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Fails if the file already exists. */
  static async create(path: string): Promise<ExternalData> {
    return new ExternalData(await open(path, 'wx'));
  }

  /** Reserves `length` bytes. @returns their offset */
  reserve(length: number): number {
    const offset = Math.ceil(this.#size / alignment) * alignment;
    this.#size = offset + length;
    return offset;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let written = 0;
    while (written < bytes.byteLength) {
      const left = bytes.byteLength - written;
      const { bytesWritten } = await this.#file.write(bytes, written, left, position + written);
      written += bytesWritten;
    }
  }

  /** Syncs the data to disk so that it survives a crash, then closes the file. */
  async close(): Promise<void> {
    try {
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
  }
}

/** The model file holds tensors up to this size; the data file holds larger ones. */
const inlineLimitBytes = 4095;

/** Location of a tensor's bytes: in memory, or in the data file from `offset` on. */
type StoredLocation = { bytes: Uint8Array<ArrayBuffer> } | { offset: number };

/**
 * Writes the graph's large weights to `dataFile` in `folder` and keeps small ones in memory.
 * @returns the initializers, and whether there is a data file
 */
export async function writeWeights(
  folder: string,
  dataFile: string,
  graph: GraphBuilder,
  onBytes: (count: number) => void,
): Promise<{ initializers: TensorProto[]; hasData: boolean }> {
  const initializers: TensorProto[] = [];
  const locations = new Map<string, StoredLocation>();
  let data: ExternalData | null = null;
  try {
    for (const weight of graph.weights) {
      if (weight.tensors.some(isLarge)) data ??= await ExternalData.create(join(folder, dataFile));
      for (const [index, place] of (await writeWeight(weight, data, onBytes)).entries()) {
        const tensor = weight.tensors[index]!;
        locations.set(tensor.name, place);
        initializers.push(toProto(tensor, place, dataFile));
      }
    }
  } finally {
    await data?.close();
  }
  for (const { of, ...tensor } of graph.aliases) {
    initializers.push(toProto(tensor, locations.get(of)!, dataFile));
  }
  return { initializers, hasData: data !== null };
}

const isLarge = (tensor: TensorInfo) => byteLengthOf(tensor) > inlineLimitBytes;

/** Reserves locations for all tensors of the weight first, because their chunks may alternate. */
async function writeWeight(
  weight: Weight,
  data: ExternalData | null,
  onBytes: (count: number) => void,
): Promise<StoredLocation[]> {
  const locations = weight.tensors.map((tensor): StoredLocation => {
    const length = byteLengthOf(tensor);
    return isLarge(tensor) ? { offset: data!.reserve(length) } : { bytes: new Uint8Array(length) };
  });
  const written = weight.tensors.map(() => 0);
  for await (const { tensor, bytes } of weight.chunks()) {
    const place = locations[tensor]!;
    const before = written[tensor]!;
    written[tensor] = before + bytes.byteLength;
    checkLength(weight.tensors[tensor]!, written[tensor], (end, expected) => end <= expected);
    if ('offset' in place) await data!.write(bytes, place.offset + before);
    else place.bytes.set(bytes, before);
    onBytes(bytes.byteLength);
  }
  weight.tensors.forEach((tensor, index) => {
    checkLength(tensor, written[index]!, (end, expected) => end === expected);
  });
  return locations;
}

function checkLength(
  tensor: TensorInfo,
  found: number,
  isRight: (found: number, expected: number) => boolean,
) {
  const expected = byteLengthOf(tensor);
  if (!isRight(found, expected)) throw new Error(`${tensor.name} gave ${found} bytes, not ${expected}`);
}

function toProto({ name, type, dims }: TensorInfo, place: StoredLocation, location: string): TensorProto {
  const tensor = { name, dims: dims.map(BigInt), dataType: elementTypes[type] };
  if ('bytes' in place) return create(TensorProtoSchema, { ...tensor, rawData: place.bytes });
  return create(TensorProtoSchema, {
    ...tensor,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: 'location', value: location },
      { key: 'offset', value: String(place.offset) },
      { key: 'length', value: String(byteLengthOf({ name, type, dims })) },
    ],
  });
}
