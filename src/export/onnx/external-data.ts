import { type FileHandle, open } from 'node:fs/promises';

/** Page size: tensors that start on one can be mapped into memory as they are. */
const alignment = 4096;

/** The `.data` file beside a graph: tensors one after the other, each on a page of its own. */
export class ExternalData {
  readonly #file: FileHandle;
  #size = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Fails where the file exists already. */
  static async create(path: string): Promise<ExternalData> {
    return new ExternalData(await open(path, 'wx'));
  }

  /** Room for `length` bytes. @returns where it begins */
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

  /** Makes sure that what was written survives a crash, then closes the file. */
  async close(): Promise<void> {
    try {
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
  }
}
