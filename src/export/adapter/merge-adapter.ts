import { existsSync } from 'node:fs';
import { copyFile, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError } from '../../errors.ts';
import { CheckpointWeights } from '../checkpoint/checkpoint-weights.ts';
import { bytesPerElement, type Dtype } from '../checkpoint/dtypes.ts';
import { bytesOf, type FloatDtype, isFloatDtype, toFloat32 } from '../checkpoint/floats.ts';
import { SafetensorsFile } from '../checkpoint/safetensors-file.ts';
import { exportError } from '../export-error.ts';
import { publishFolder } from '../publish-folder.ts';
import type { ExportProgress } from '../write-export.ts';
import { type AdapterConfig, readAdapterConfig } from './adapter-config.ts';
import { readUpdates, type Update } from './adapter-updates.ts';

export interface MergeOptions {
  onProgress: (progress: ExportProgress) => void;
  signal: AbortSignal;
}

interface Merge extends MergeOptions {
  base: CheckpointWeights;
  adapter: SafetensorsFile;
  config: AdapterConfig;
  updates: ReadonlyMap<string, Update>;
}

interface Written {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
}

/** Says what a merged folder was made from; the folder is ours because it is there. */
const recordFile = 'merged-from.json';
/** Of both folders: what a merged checkpoint needs beside its weights. The adapter's own go before the base's. */
const otherFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];
/** Bytes copied at a time. */
const pieceBytes = 2 ** 24;

/**
 * Writes `base` with a LoRA adapter of `peft` merged into it as a checkpoint of its own, in the base's number formats,
 * unless it is there already.
 * @throws ConfigurationError in one line for what cannot be merged
 */
export async function mergeAdapter(
  base: string,
  adapter: string,
  out: string,
  options: MergeOptions,
): Promise<{ isNew: boolean }> {
  try {
    const record = JSON.stringify({ base: await filesOf(base), adapter: await filesOf(adapter) });
    const before = await readFile(join(out, recordFile), 'utf8').catch(() => null);
    if (before === record) return { isNew: false };
    await publishFolder(out, recordFile, (folder) => writeMerged(folder, { base, adapter, record }, options));
    return { isNew: true };
  } catch (error) {
    throw exportError(error, adapter);
  }
}

/** By name: size and time of each file, as it would be read. */
async function filesOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => /\.(json|safetensors|jinja)$/.test(name)).sort();
  const found = names.map(async (name) => {
    const { size, mtimeMs } = await stat(join(folder, name));
    return [name, `${size} ${mtimeMs}`] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

async function writeMerged(
  folder: string,
  { base, adapter, record }: { base: string; adapter: string; record: string },
  options: MergeOptions,
): Promise<void> {
  const config = await readAdapterConfig(adapter);
  const file = join(adapter, 'adapter_model.safetensors');
  if (!existsSync(file)) {
    throw new ConfigurationError(
      `${adapter}: has no adapter_model.safetensors; save the adapter with save_pretrained() of peft`,
    );
  }
  const weights = await CheckpointWeights.open(base);
  try {
    const tensors = await SafetensorsFile.open(file);
    try {
      const updates = readUpdates(tensors, [...weights.names]);
      await writeWeights(folder, { base: weights, adapter: tensors, config, updates, ...options });
    } finally {
      await tensors.close();
    }
  } finally {
    await weights.close();
  }
  for (const name of otherFiles) {
    const from = [adapter, base].map((each) => join(each, name)).find((path) => existsSync(path));
    // An adapter's folder has no config of a model, unless it is the model's own.
    if (from !== undefined)
      await copyFile(name === 'config.json' ? join(base, name) : from, join(folder, name));
  }
  await writeFile(join(folder, recordFile), record);
}

async function writeWeights(folder: string, merge: Merge): Promise<void> {
  const written = tensorsOf(merge);
  const totalBytes = written.reduce((sum, tensor) => sum + sizeOf(tensor), 0);
  let end = 0;
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  for (const tensor of written) {
    const { name, dtype, shape } = tensor;
    header[name] = { dtype, shape, data_offsets: [end, end + sizeOf(tensor)] };
    end += sizeOf(tensor);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(folder, 'model.safetensors'), 'wx');
  try {
    await file.writeFile(Buffer.concat([length, json]));
    let doneBytes = 0;
    for (const tensor of written) {
      for await (const piece of piecesOf(tensor, merge)) {
        merge.signal.throwIfAborted();
        await file.writeFile(piece);
        doneBytes += piece.byteLength;
        merge.onProgress({ doneBytes, totalBytes });
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

const sizeOf = ({ dtype, shape }: Written) =>
  shape.reduce((product, size) => product * size, bytesPerElement[dtype]);

/** The base's tensors, and a head that it did not have. */
function tensorsOf({ base, adapter, updates }: Merge): Written[] {
  const written = [...base.names].map((name) => ({ name, ...base.entry(name) }));
  for (const [name, update] of updates) {
    if (base.has(name) || update.kind !== 'replaced') continue;
    written.push({ name, ...adapter.tensors.get(update.by)! });
  }
  return written;
}

async function* piecesOf(tensor: Written, merge: Merge): AsyncGenerator<Uint8Array> {
  const { base, adapter, updates } = merge;
  const update = updates.get(tensor.name);
  if (update?.kind === 'added') {
    yield* added(tensor, update, merge);
  } else if (update?.kind === 'replaced') {
    requireShape(adapter, update.by, tensor.shape);
    const values = await floats(adapter, update.by);
    yield bytesOf(values, floatDtype(tensor, adapter.path));
  } else {
    for (let at = 0; at < sizeOf(tensor); at += pieceBytes)
      yield await base.read(tensor.name, at, Math.min(pieceBytes, sizeOf(tensor) - at));
  }
}

/** W + s·BA, and of DoRA its rows brought to the length m: m·(W + s·BA)/‖W + s·BA‖, some rows at a time. */
async function* added(
  tensor: Written,
  update: Extract<Update, { kind: 'added' }>,
  { base, adapter, config }: Merge,
): AsyncGenerator<Uint8Array> {
  const { name, shape } = tensor;
  const dtype = floatDtype(tensor, base.pathOf(name));
  const [rows, columns] = shape as [number, number];
  const rank = adapter.tensors.get(update.a)!.shape[0] ?? 0;
  const [aShape, bShape] = update.isEmbedding
    ? [
        [rank, rows],
        [columns, rank],
      ]
    : [
        [rank, columns],
        [rows, rank],
      ];
  if (shape.length !== 2)
    throw new ConfigurationError(`${adapter.path}: ${update.module} is no matrix in the base`);
  requireShape(adapter, update.a, aShape!);
  requireShape(adapter, update.b, bShape!);
  const [a, b] = [await floats(adapter, update.a), await floats(adapter, update.b)];
  if (config.isDecomposed !== (update.magnitude !== null)) {
    throw new ConfigurationError(
      `${adapter.path}: ${update.module} ${config.isDecomposed ? 'has no' : 'has a'} magnitude, against use_dora`,
    );
  }
  if (update.magnitude !== null) requireShape(adapter, update.magnitude, [rows]);
  const magnitude = update.magnitude === null ? null : await floats(adapter, update.magnitude);
  const scale = scaleOf(update.module, rank, config);
  const factors = update.isEmbedding
    ? embeddingFactors(a, b, { rank, rows, columns })
    : { left: b, right: a };
  const rowBytes = columns * bytesPerElement[dtype];
  const atOnce = Math.max(1, Math.floor(pieceBytes / rowBytes));
  for (let first = 0; first < rows; first += atOnce) {
    const count = Math.min(atOnce, rows - first);
    const values = toFloat32(await base.read(name, first * rowBytes, count * rowBytes), dtype);
    for (let row = 0; row < count; row += 1) {
      const own = values.subarray(row * columns, (row + 1) * columns);
      addProduct(
        own,
        factors.left.subarray((first + row) * rank, (first + row + 1) * rank),
        factors.right,
        scale,
      );
      if (magnitude !== null) setLength(own, magnitude[first + row]!);
    }
    yield bytesOf(values, dtype);
  }
}

/** (BA)ᵀ = AᵀBᵀ, as left [rows, rank] and right [rank, columns]. */
function embeddingFactors(
  a: Float32Array,
  b: Float32Array,
  { rank, rows, columns }: { rank: number; rows: number; columns: number },
): { left: Float32Array; right: Float32Array } {
  return { left: transposed(a, rank, rows), right: transposed(b, columns, rank) };
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1)
      turned[column * rows + row] = values[row * columns + column]!;
  return turned;
}

/** row + scale · (left [rank] · right [rank, columns]), in double precision until it is added. */
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
  throw new ConfigurationError(`${adapter.path}: ${name} is [${found}]; the base model makes it [${shape}]`);
}

async function floats(file: SafetensorsFile, name: string): Promise<Float32Array<ArrayBuffer>> {
  const { dtype, shape } = file.tensors.get(name)!;
  return toFloat32(await file.read(name), floatDtype({ name, dtype, shape }, file.path));
}

function floatDtype({ name, dtype }: Written, path: string): FloatDtype {
  if (isFloatDtype(dtype)) return dtype;
  throw new ConfigurationError(`${path}: ${name} is ${dtype}; expected F32, F16 or BF16`);
}
