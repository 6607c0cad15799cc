import { type FileHandle, open } from 'node:fs/promises';

/** Page size: tensors that start on one can be mapped into memory as they are. */
const alignment = 4096;

export interface DataRange {
  offset: number;
  length: number;
}

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

  async append(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    onBytes: (count: number) => void,
  ): Promise<DataRange> {
    const offset = Math.ceil(this.#size / alignment) * alignment;
    let end = offset;
    for await (const chunk of chunks) {
      await writeAll(this.#file, chunk, end);
      end += chunk.byteLength;
      onBytes(chunk.byteLength);
    }
    this.#size = end;
    return { offset, length: end - offset };
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

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.byteLength) {
    const { bytesWritten } = await file.write(bytes, written, bytes.byteLength - written, position + written);
    written += bytesWritten;
  }
}
