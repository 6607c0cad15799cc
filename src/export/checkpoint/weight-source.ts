import { ConfigurationError } from '../../errors.ts';
import type { Weight } from '../onnx/weight.ts';
import type { CheckpointWeights } from './checkpoint-weights.ts';
import { bytesPerElement, type Dtype } from './dtypes.ts';
import { bfloat16ToFloat32, halfToFloat32 } from './half-precision.ts';
import { transposedPanels } from './transpose.ts';

/** A multiple of every element size. */
const chunkBytes = 4 * 1024 * 1024;

/**
 * Hands a family's exporter the checkpoint's tensors by name and expected shape, as float32, and remembers which
 * were asked for: a tensor nobody asked for means that the model is not what the exporter takes it to be.
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

  /** The tensor as it is, an initializer of the same name. */
  asStored(name: string, shape: readonly number[]): Weight {
    const dtype = this.#take(name, shape);
    return { name, dims: shape, chunks: () => this.#converted(name, dtype) };
  }

  /** A linear layer's [out, in] weight as the [in, out] that MatMul wants, an initializer of the same name. */
  transposed(name: string, shape: readonly [number, number]): Weight {
    const dtype = this.#take(name, shape);
    const [rows, columns] = shape;
    const load = async () => toFloat32(await this.#checkpoint.read(name), dtype);
    return { name, dims: [columns, rows], chunks: () => transposedPanels(load, rows, columns) };
  }

  /** A tensor small enough to compute with. */
  async values(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const dtype = this.#take(name, shape);
    return toFloat32(await this.#checkpoint.read(name), dtype);
  }

  /** How many numbers the tensors asked for hold. */
  get parameters(): number {
    let count = 0;
    for (const name of this.#used) count += this.#checkpoint.entry(name).shape.reduce((a, b) => a * b, 1);
    return count;
  }

  /** @param isCopy names of tensors that merely repeat another one */
  refuseUnused(isCopy: (name: string) => boolean): void {
    const unused = [...this.#checkpoint.names].filter((name) => !this.#used.has(name) && !isCopy(name));
    if (unused.length === 0) return;
    const [first] = unused as [string];
    const others = unused.length > 1 ? ` and ${unused.length - 1} more` : '';
    throw new ConfigurationError(
      `${this.#checkpoint.pathOf(first)}: holds ${first}${others}; by config.json the model has no such tensor`,
    );
  }

  #take(name: string, shape: readonly number[]): Dtype {
    const entry = this.#checkpoint.entry(name);
    const path = this.#checkpoint.pathOf(name);
    if (entry.shape.join() !== shape.join()) {
      throw new ConfigurationError(`${path}: ${name} is [${entry.shape}]; config.json makes it [${shape}]`);
    }
    if (entry.dtype !== 'F32' && entry.dtype !== 'F16' && entry.dtype !== 'BF16') {
      throw new ConfigurationError(`${path}: ${name} is ${entry.dtype}; expected F32, F16 or BF16`);
    }
    this.#used.add(name);
    return entry.dtype;
  }

  async *#converted(name: string, dtype: Dtype): AsyncGenerator<Uint8Array> {
    const { begin, end } = this.#checkpoint.entry(name);
    for (let offset = 0; offset < end - begin; offset += chunkBytes) {
      const stored = await this.#checkpoint.read(name, offset, Math.min(chunkBytes, end - begin - offset));
      yield new Uint8Array(toFloat32(stored, dtype).buffer);
    }
  }
}

function toFloat32(stored: Uint8Array<ArrayBuffer>, dtype: Dtype): Float32Array<ArrayBuffer> {
  const bits = () => new Uint16Array(stored.buffer, 0, stored.byteLength / bytesPerElement[dtype]);
  if (dtype === 'F16') return halfToFloat32(bits());
  if (dtype === 'BF16') return bfloat16ToFloat32(bits());
  return new Float32Array(stored.buffer);
}
