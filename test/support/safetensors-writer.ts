import { writeFile } from 'node:fs/promises';

export interface WrittenTensor {
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** A safetensors file from any header and data, even invalid ones. */
export function rawSafetensors(
  header: string | Uint8Array,
  data: Uint8Array,
  claimedLength?: bigint,
): Buffer {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimedLength ?? BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

/** A correct safetensors file: tensors in the given order, header padded with spaces to a multiple of 8. */
export function safetensors(tensors: Readonly<Record<string, WrittenTensor>>): Buffer {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.byteLength] };
    end += bytes.byteLength;
  }
  const json = JSON.stringify(header);
  const padded = json.padEnd(Math.ceil(Buffer.byteLength(json) / 8) * 8);
  return rawSafetensors(padded, Buffer.concat(Object.values(tensors).map(({ bytes }) => bytes)));
}

export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, WrittenTensor>>,
): Promise<void> {
  await writeFile(path, safetensors(tensors));
}

export function float32(shape: readonly number[], values: readonly number[]): WrittenTensor {
  return { dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

export function bits16(
  dtype: 'F16' | 'BF16',
  shape: readonly number[],
  bits: readonly number[],
): WrittenTensor {
  return { dtype, shape, bytes: new Uint8Array(Uint16Array.from(bits).buffer) };
}
