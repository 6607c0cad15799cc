import { ConfigurationError } from '../../errors.ts';
import type { TensorInfo, Weight } from '../onnx/weight.ts';
import type { CheckpointWeights } from './checkpoint-weights.ts';
import { bytesPerElement } from './dtypes.ts';
import { type FloatDtype, isFloatDtype, toFloat32 } from './floats.ts';
import { float32ToBfloat16, float32ToHalf } from './half-precision.ts';

/** Number of float32 values in one panel of output rows (4 MiB). */
const panelSize = 1 << 20;
/** Side of the square copied at once. Small, so that reads and writes both stay in the cache. */
const tile = 32;

/**
 * Yields the transpose of a row-major [rows, columns] matrix in panels of whole rows.
 * @param load returns the matrix; called for the first panel only, so that one matrix at a time is in memory
 */
async function* transposedPanels(
  load: () => Promise<Float32Array>,
  rows: number,
  columns: number,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const matrix = await load();
  const panelRows = Math.max(1, Math.floor(panelSize / Math.max(rows, 1)));
  for (let first = 0; first < columns; first += panelRows) {
    const last = Math.min(first + panelRows, columns);
    yield transposeColumns(matrix, rows, columns, first, last);
  }
}

/** Columns `first` to `last` of the matrix as rows: [last − first, rows]. */
function transposeColumns(matrix: Float32Array, rows: number, columns: number, first: number, last: number) {
  const panel = new Float32Array((last - first) * rows);
  for (let row = 0; row < rows; row += tile) {
    const rowEnd = Math.min(row + tile, rows);
    for (let column = first; column < last; column += tile) {
      const columnEnd = Math.min(column + tile, last);
      for (let r = row; r < rowEnd; r += 1) {
        for (let c = column; c < columnEnd; c += 1) panel[(c - first) * rows + r] = matrix[r * columns + c]!;
      }
    }
  }
  return panel;
}

/** Number of values read at a time. */
const chunkSize = 1 << 20;

/** Float types that a graph computes with. */
export type FloatType = 'float32' | 'float16' | 'bfloat16';

/**
 * Gives a family's exporter the checkpoint's tensors by name and expected shape, and records which ones it used.
 * An unused tensor means that the model differs from what the exporter expects.
 */
export class WeightSource {
  readonly #checkpoint: CheckpointWeights;
  readonly #used = new Set<string>();

  constructor(checkpoint: CheckpointWeights) {
    this.#checkpoint = checkpoint;
  }

  has(name: string): boolean {
    return this.#checkpoint.has(name);
  }

  /** Path of the file that holds the tensor. */
  pathOf(name: string): string {
    return this.#checkpoint.pathOf(name);
  }

  /** The tensor unchanged, as an initializer of the same name. */
  asStored(name: string, shape: readonly number[], type: FloatType = 'float32'): Weight {
    const dtype = this.#take(name, shape);
    return this.#weight({ name, type, dims: shape }, () => this.#pieces(name, dtype, 1));
  }

  /** The tensor plus one, as an initializer of the same name: for factors stored as their difference from one. */
  plusOne(name: string, shape: readonly number[]): Weight {
    const dtype = this.#take(name, shape);
    const pieces = this.#pieces.bind(this);
    return this.#weight({ name, type: 'float32', dims: shape }, async function* () {
      for await (const values of pieces(name, dtype, 1)) yield values.map((value) => 1 + value);
    });
  }

  /** A linear layer's [out, in] weight, transposed to [in, out] for MatMul, as an initializer of the same name. */
  transposed(name: string, shape: readonly [number, number], type: FloatType = 'float32'): Weight {
    const dtype = this.#take(name, shape);
    const [rows, columns] = shape;
    const load = async () => await this.#finite(name, dtype);
    const info = { name, type, dims: [columns, rows] };
    return this.#weight(info, () => transposedPanels(load, rows, columns));
  }

  /** A matrix [rows, columns], read in pieces of whole rows. */
  rows(name: string, shape: readonly [number, number]): () => AsyncIterable<Float32Array<ArrayBuffer>> {
    const dtype = this.#take(name, shape);
    return () => this.#pieces(name, dtype, shape[1]);
  }

  /** Reads all values of a tensor. For small tensors. */
  async values(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    return await this.#finite(name, this.#take(name, shape));
  }

  /**
   * Whether the checkpoint has both tensors and their values differ.
   * @throws ConfigurationError that names a tensor with another shape than `shape`
   */
  async differ(name: string, other: string, shape: readonly number[]): Promise<boolean> {
    if (name === other || !this.has(name) || !this.has(other)) return false;
    const [pieces, others] = [name, other].map((each) => this.#pieces(each, this.#check(each, shape), 1));
    for await (const values of pieces!) {
      const compared = (await others!.next()).value as Float32Array;
      if (values.some((value, n) => value !== compared[n])) return true;
    }
    return false;
  }

  /** Total number of values in the tensors used so far. */
  get parameters(): number {
    let count = 0;
    for (const name of this.#used) count += this.#checkpoint.entry(name).shape.reduce((a, b) => a * b, 1);
    return count;
  }

  /** @param isCopy whether a name may stay unused, for example because the tensor repeats another one */
  refuseUnused(isCopy: (name: string) => boolean): void {
    const unused = [...this.#checkpoint.names].filter((name) => !this.#used.has(name) && !isCopy(name));
    if (unused.length === 0) return;
    const [first] = unused as [string];
    const others = unused.length > 1 ? ` and ${unused.length - 1} more` : '';
    throw new ConfigurationError(
      `${this.#checkpoint.pathOf(first)}: holds ${first}${others}; according to config.json, the model has no such tensor`,
    );
  }

  #take(name: string, shape: readonly number[]): FloatDtype {
    const dtype = this.#check(name, shape);
    this.#used.add(name);
    return dtype;
  }

  #check(name: string, shape: readonly number[]): FloatDtype {
    const entry = this.#checkpoint.entry(name);
    const path = this.#checkpoint.pathOf(name);
    if (entry.shape.join() !== shape.join()) {
      throw new ConfigurationError(`${path}: ${name} is [${entry.shape}]; config.json requires [${shape}]`);
    }
    if (!isFloatDtype(entry.dtype)) {
      throw new ConfigurationError(`${path}: ${name} is ${entry.dtype}; expected F32, F16 or BF16`);
    }
    return entry.dtype;
  }

  #weight(tensor: TensorInfo, load: () => AsyncIterable<Float32Array<ArrayBuffer>>): Weight {
    const path = this.#checkpoint.pathOf(tensor.name);
    const convert = conversion(tensor, path);
    return {
      tensors: [tensor],
      async *chunks() {
        for await (const values of load()) {
          yield { tensor: 0, bytes: new Uint8Array(convert(values).buffer) };
        }
      },
    };
  }

  /** Reads the tensor in pieces, each a multiple of `unit` values. */
  async *#pieces(name: string, dtype: FloatDtype, unit: number): AsyncGenerator<Float32Array<ArrayBuffer>> {
    const { begin, end } = this.#checkpoint.entry(name);
    const step = Math.max(1, Math.floor(chunkSize / unit)) * unit * bytesPerElement[dtype];
    for (let offset = 0; offset < end - begin; offset += step) {
      yield await this.#finite(name, dtype, offset, Math.min(step, end - begin - offset));
    }
  }

  /** Reads a tensor's bytes as numbers. @throws ConfigurationError if one is NaN or infinite */
  async #finite(
    name: string,
    dtype: FloatDtype,
    offset?: number,
    length?: number,
  ): Promise<Float32Array<ArrayBuffer>> {
    const values = toFloat32(await this.#checkpoint.read(name, offset, length), dtype);
    // 0 · NaN and 0 · infinity are NaN, and a sum keeps NaN: this checks all values in one pass without a branch.
    let sum = 0;
    for (let n = 0; n < values.length; n += 1) sum += 0 * values[n]!;
    if (sum === 0) return values;
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    const index = (offset ?? 0) / bytesPerElement[dtype] + wrong;
    throw new ConfigurationError(
      `${this.#checkpoint.pathOf(name)}: ${name} holds ${values[wrong]} (number ${index}); ` +
        'every weight must be finite: train or download the checkpoint again',
    );
  }
}

/** From float32 into the tensor's type. */
function conversion(
  tensor: TensorInfo,
  path: string,
): (values: Float32Array<ArrayBuffer>) => ArrayBufferView<ArrayBuffer> {
  if (tensor.type === 'float16') return (values) => toHalf(values, path, tensor);
  if (tensor.type === 'bfloat16') return float32ToBfloat16;
  return (values) => values;
}

function toHalf(values: Float32Array, path: string, { name }: TensorInfo): Uint16Array<ArrayBuffer> {
  const halves = float32ToHalf(values);
  const lost = halves.findIndex((bits, n) => (bits & 0x7fff) === 0x7c00 && Number.isFinite(values[n]!));
  if (lost < 0) return halves;
  throw new ConfigurationError(
    `${path}: ${name} holds ${values[lost]}, which fp16 cannot hold; export it as fp32, bf16, int8 or int4`,
  );
}
