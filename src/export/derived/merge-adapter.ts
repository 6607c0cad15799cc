import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '../../errors.ts';
import type { CheckpointWeights } from '../checkpoint/checkpoint-weights.ts';
import { bytesPerElement, type Dtype } from '../checkpoint/dtypes.ts';
import { bytesOf, type FloatDtype, isFloatDtype, toFloat32 } from '../checkpoint/floats.ts';
import { SafetensorsFile } from '../checkpoint/safetensors-file.ts';
import { exportError } from '../export-error.ts';
import { type AdapterConfig, readAdapterConfig } from './adapter-config.ts';
import { readUpdates, type Update } from './adapter-updates.ts';
import {
  type DerivedOptions,
  type DerivedTensor,
  filesOf,
  pieceBytes,
  unchanged,
  writeDerived,
} from './derived-checkpoint.ts';

interface Merge {
  base: CheckpointWeights;
  adapter: SafetensorsFile;
  config: AdapterConfig;
}

/**
 * Merges a LoRA adapter of `peft` into `base` and writes the result as a new checkpoint in the base's number formats,
 * unless it already exists.
 * @throws ConfigurationError in one line if the adapter cannot be merged
 */
export async function mergeAdapter(
  base: string,
  adapter: string,
  out: string,
  options: DerivedOptions,
): Promise<{ isNew: boolean }> {
  try {
    const config = await readAdapterConfig(adapter);
    const file = join(adapter, 'adapter_model.safetensors');
    if (!existsSync(file)) {
      throw new ConfigurationError(
        `${adapter}: has no adapter_model.safetensors; save the adapter with save_pretrained() of peft`,
      );
    }
    const tensors = await SafetensorsFile.open(file);
    try {
      const derive = async (weights: CheckpointWeights) => ({
        tensors: mergedTensors({ base: weights, adapter: tensors, config }),
        overriding: [adapter],
      });
      return await writeDerived(base, out, { adapter: await filesOf(adapter) }, derive, options);
    } finally {
      await tensors.close();
    }
  } catch (error) {
    throw exportError(error, adapter);
  }
}

/** The base's tensors, and the adapter's head if the base has none. */
function mergedTensors(merge: Merge): DerivedTensor[] {
  const { base, adapter } = merge;
  const updates = readUpdates(adapter, [...base.names]);
  const merged = [...base.names].map((name): DerivedTensor => {
    const update = updates.get(name);
    if (!update) return unchanged(base, name);
    const { dtype, shape } = base.entry(name);
    const pieces = () =>
      update.kind === 'added'
        ? added(name, update, merge)
        : replaced(name, update.by, { dtype, shape }, adapter);
    return { name, dtype, shape, pieces };
  });
  for (const [name, update] of updates) {
    if (base.has(name) || update.kind !== 'replaced') continue;
    const { dtype, shape } = adapter.tensors.get(update.by)!;
    merged.push({ name, dtype, shape, pieces: () => replaced(name, update.by, { dtype, shape }, adapter) });
  }
  return merged;
}

async function* replaced(
  name: string,
  by: string,
  { dtype, shape }: { dtype: Dtype; shape: readonly number[] },
  adapter: SafetensorsFile,
): AsyncGenerator<Uint8Array> {
  requireShape(adapter, by, shape);
  yield bytesOf(await floats(adapter, by), floatDtype(name, dtype, adapter.path));
}

/** W + s·BA, a few rows at a time. DoRA scales each row to length m: m·(W + s·BA)/‖W + s·BA‖. */
async function* added(
  name: string,
  update: Extract<Update, { kind: 'added' }>,
  { base, adapter, config }: Merge,
): AsyncGenerator<Uint8Array> {
  const { shape, dtype: stored } = base.entry(name);
  const dtype = floatDtype(name, stored, base.pathOf(name));
  if (shape.length !== 2)
    throw new ConfigurationError(`${adapter.path}: ${update.module} is not a matrix in the base`);
  const [rows, columns] = shape as [number, number];
  const rank = adapter.tensors.get(update.a)!.shape[0] ?? 0;
  requireShape(adapter, update.a, [rank, update.isEmbedding ? rows : columns]);
  requireShape(adapter, update.b, [update.isEmbedding ? columns : rows, rank]);
  const [a, b] = [await floats(adapter, update.a), await floats(adapter, update.b)];
  const magnitude = await readMagnitude(update, rows, { adapter, config });
  const scale = scaleOf(update.module, rank, config);
  // A table adds (BA)ᵀ = AᵀBᵀ.
  const left = update.isEmbedding ? transposed(a, rank, rows) : b;
  const right = update.isEmbedding ? transposed(b, columns, rank) : a;
  const rowBytes = columns * bytesPerElement[dtype];
  const atOnce = Math.max(1, Math.floor(pieceBytes / rowBytes));
  for (let first = 0; first < rows; first += atOnce) {
    const count = Math.min(atOnce, rows - first);
    const values = toFloat32(await base.read(name, first * rowBytes, count * rowBytes), dtype);
    for (let row = 0; row < count; row += 1) {
      const own = values.subarray(row * columns, (row + 1) * columns);
      addProduct(own, left.subarray((first + row) * rank, (first + row + 1) * rank), right, scale);
      if (magnitude !== null) setLength(own, magnitude[first + row]!);
    }
    yield bytesOf(values, dtype);
  }
}

async function readMagnitude(
  { module, magnitude }: Extract<Update, { kind: 'added' }>,
  rows: number,
  { adapter, config }: Pick<Merge, 'adapter' | 'config'>,
): Promise<Float32Array | null> {
  if (config.isDecomposed !== (magnitude !== null)) {
    throw new ConfigurationError(
      `${adapter.path}: ${module} ${config.isDecomposed ? 'has no' : 'has a'} magnitude, which contradicts use_dora`,
    );
  }
  if (magnitude === null) return null;
  requireShape(adapter, magnitude, [rows]);
  return await floats(adapter, magnitude);
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1)
      turned[column * rows + row] = values[row * columns + column]!;
  return turned;
}

/** Adds scale · (left [rank] · right [rank, columns]) to `row`. The product is summed in double precision. */
function addProduct(row: Float32Array, left: Float32Array, right: Float32Array, scale: number): void {
  const columns = row.length;
  const sum = new Float64Array(columns);
  for (const [k, factor] of left.entries())
    for (let column = 0; column < columns; column += 1) sum[column]! += factor * right[k * columns + column]!;
  for (let column = 0; column < columns; column += 1) row[column]! += scale * sum[column]!;
}

function setLength(row: Float32Array, length: number): void {
  let squares = 0;
  for (const value of row) squares += value * value;
  const factor = length / Math.sqrt(squares);
  for (let column = 0; column < row.length; column += 1) row[column]! *= factor;
}

/** α/r, or α/√r (arXiv 2106.09685, 4.1; arXiv 2312.03732, 2). */
function scaleOf(module: string, rank: number, { alpha, alphas, isRankStabilised }: AdapterConfig): number {
  const own = [...alphas].find(([end]) => module === end || module.endsWith(`.${end}`))?.[1] ?? alpha;
  return own / (isRankStabilised ? Math.sqrt(rank) : rank);
}

function requireShape(adapter: SafetensorsFile, name: string, shape: readonly number[]): void {
  const found = adapter.tensors.get(name)!.shape;
  if (found.join() === shape.join()) return;
  throw new ConfigurationError(`${adapter.path}: ${name} is [${found}]; the base model requires [${shape}]`);
}

async function floats(file: SafetensorsFile, name: string): Promise<Float32Array<ArrayBuffer>> {
  const { dtype } = file.tensors.get(name)!;
  return toFloat32(await file.read(name), floatDtype(name, dtype, file.path));
}

function floatDtype(name: string, dtype: Dtype, path: string): FloatDtype {
  if (isFloatDtype(dtype)) return dtype;
  throw new ConfigurationError(`${path}: ${name} is ${dtype}; expected F32, F16 or BF16`);
}
