import { type FileHandle, open } from 'node:fs/promises';
import { refuseLfsPointer, regularFileSize } from '../../catalog/checkpoint-file.ts';
import { ConfigurationError } from '../../errors.ts';
import { parseSafetensorsHeader, type TensorEntry } from './safetensors-header.ts';

/** Limit set by the format. A larger header means an attack or a broken file. */
const maxHeaderBytes = 100_000_000;

/**
 * An open safetensors file: 8 bytes of header length (little-endian), a JSON header, raw tensors.
 * Format: https://huggingface.co/docs/safetensors
 */
export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #file: FileHandle;
  readonly #dataStart: number;

  private constructor(path: string, file: FileHandle, dataStart: number, tensors: Map<string, TensorEntry>) {
    this.path = path;
    this.tensors = tensors;
    this.#file = file;
    this.#dataStart = dataStart;
  }

  static async open(path: string): Promise<SafetensorsFile> {
    regularFileSize(path);
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size < 8) throw new ConfigurationError(`${path}: ${size} bytes are too few for a safetensors file`);
      const beginning = await readExactly(path, file, 0, Math.min(size, 64));
      refuseLfsPointer(path, Buffer.from(beginning).toString('latin1'));
      const lengthBytes = beginning.slice(0, 8);
      const headerBytes = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
      if (headerBytes > maxHeaderBytes) {
        throw new ConfigurationError(
          `${path}: a header of ${headerBytes} bytes is over the limit of ${maxHeaderBytes}`,
        );
      }
      const dataStart = 8 + headerBytes;
      if (dataStart > size) {
        throw new ConfigurationError(
          `${path}: the header should end at byte ${dataStart}, but the file has ${size}`,
        );
      }
      const header = await readExactly(path, file, 8, headerBytes);
      return new SafetensorsFile(
        path,
        file,
        dataStart,
        parseSafetensorsHeader(path, header, size - dataStart),
      );
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Reads `length` stored bytes of tensor `name`, starting at its byte `offset`. */
  async read(name: string, offset = 0, length?: number): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.tensors.get(name);
    if (!entry) throw new ConfigurationError(`${this.path}: no tensor is called ${name}`);
    const size = entry.end - entry.begin;
    const count = length ?? size - offset;
    if (offset < 0 || count < 0 || offset + count > size) {
      throw new RangeError(`bytes ${offset} to ${offset + count} are not all in ${name}, which has ${size}`);
    }
    return await readExactly(this.path, this.#file, this.#dataStart + entry.begin + offset, count);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** A read call returns at most 2 GiB, but a tensor may be larger. */
const maxReadBytes = 1 << 30;

async function readExactly(
  path: string,
  file: FileHandle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(
      bytes,
      done,
      Math.min(length - done, maxReadBytes),
      position + done,
    );
    if (bytesRead === 0)
      throw new ConfigurationError(`${path}: was cut to ${position + done} bytes while it was read`);
    done += bytesRead;
  }
  return bytes;
}
