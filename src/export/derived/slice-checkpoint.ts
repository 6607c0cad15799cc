import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigReader } from '../../catalog/config-reader.ts';
import { ConfigurationError } from '../../errors.ts';
import type { CheckpointWeights } from '../checkpoint/checkpoint-weights.ts';
import { bytesPerElement } from '../checkpoint/dtypes.ts';
import { exportError } from '../export-error.ts';
import { gemma3n } from '../families/gemma3n/export.ts';
import {
  type DerivedOptions,
  type DerivedTensor,
  pieceBytes,
  unchanged,
  writeDerived,
} from './derived-checkpoint.ts';
import { keptLayers, readSlice, readSliceable, type Slice, type Sliceable } from './slice.ts';

type Json = Record<string, unknown>;

/**
 * Writes a slice of a Gemma 3n as a new checkpoint, like Google's MatFormer Lab, unless it already exists.
 * @param asked `E2B` or the path of a JSON file, see `readSlice`
 * @throws ConfigurationError in one line if the checkpoint does not contain such a slice
 */
export async function sliceCheckpoint(
  checkpoint: string,
  asked: string,
  out: string,
  options: DerivedOptions,
): Promise<{ isNew: boolean }> {
  try {
    const file = join(checkpoint, 'config.json');
    const outer = await ConfigReader.open(file);
    outer.oneOf('model_type', gemma3n.modelTypes);
    const model = readSliceable(outer.object('text_config') ?? outer);
    const slice = await readSlice(asked, model, checkpoint);
    const config = JSON.parse(readFileSync(file, 'utf8')) as Json;
    const text = (config.text_config ?? config) as Json;
    Object.assign(text, slicedFields(text, model, slice));
    const derive = async (weights: CheckpointWeights) => ({
      config,
      tensors: [...weights.names].flatMap((name) => slicedTensor(weights, name, model, slice) ?? []),
    });
    return await writeDerived(checkpoint, out, { slice }, derive, options);
  } catch (error) {
    throw exportError(error, checkpoint);
  }
}

function slicedFields(text: Json, model: Sliceable, slice: Slice): Json {
  const kept = keptLayers(model, slice);
  const ofKept = <T>(values: readonly T[]) => kept.map((index) => values[index]!);
  const sparsity = text.activation_sparsity_pattern;
  return {
    num_hidden_layers: kept.length,
    num_kv_shared_layers: kept.filter((index) => index >= model.firstShared).length,
    intermediate_size: slice.widths,
    layer_types: ofKept(model.layerTypes),
    activation_sparsity_pattern: Array.isArray(sparsity)
      ? ofKept(sparsity)
      : kept.map((index) => (model.layers > 10 && index < 10 ? 0.95 : 0)),
  };
}

/** The tensor in the slice; null if it belongs to a skipped layer. */
function slicedTensor(
  weights: CheckpointWeights,
  name: string,
  model: Sliceable,
  slice: Slice,
): DerivedTensor | null {
  // Other towers have layers too: copy them unchanged.
  if (!/^(model\.|language_model\.)*(layers|embed_tokens_per_layer|per_layer_model_projection)\./.test(name))
    return unchanged(weights, name);
  const kept = keptLayers(model, slice);
  if (name.endsWith('embed_tokens_per_layer.weight'))
    return columnsOfLayers(weights, name, kept, model.layers);
  if (name.endsWith('per_layer_model_projection.weight'))
    return rowsOfLayers(weights, name, kept, model.layers);
  const [, before, index, part] = /^(.*layers\.)(\d+)\.(.+)$/.exec(name) ?? [];
  if (index === undefined) return unchanged(weights, name);
  const place = kept.indexOf(Number(index));
  if (place < 0) return null;
  const as = `${before}${place}.${part}`;
  const width = slice.widths[place]!;
  if (part === 'mlp.gate_proj.weight' || part === 'mlp.up_proj.weight')
    return firstRows(weights, name, as, width);
  if (part === 'mlp.down_proj.weight') return firstColumns(weights, name, as, width);
  return unchanged(weights, name, as);
}

function matrix(weights: CheckpointWeights, name: string) {
  const { dtype, shape } = weights.entry(name);
  if (shape.length !== 2) throw new ConfigurationError(`${weights.pathOf(name)}: ${name} is not a matrix`);
  const [rows, columns] = shape as [number, number];
  return { dtype, rows, columns, rowBytes: columns * bytesPerElement[dtype] };
}

function firstRows(weights: CheckpointWeights, name: string, as: string, count: number): DerivedTensor {
  const { dtype, columns, rowBytes } = matrix(weights, name);
  const pieces = () => readRows(weights, name, 0, count, rowBytes);
  return { name: as, dtype, shape: [count, columns], pieces };
}

function firstColumns(weights: CheckpointWeights, name: string, as: string, count: number): DerivedTensor {
  const { dtype, rows, rowBytes } = matrix(weights, name);
  const part = [{ from: 0, length: count * bytesPerElement[dtype] }];
  const pieces = () => partsOfRows(weights, name, { rows, rowBytes }, part);
  return { name: as, dtype, shape: [rows, count], pieces };
}

/** The rows of the kept layers, from a matrix [layers · n, m]. */
function rowsOfLayers(
  weights: CheckpointWeights,
  name: string,
  kept: readonly number[],
  layers: number,
): DerivedTensor {
  const { dtype, rows, columns, rowBytes } = matrix(weights, name);
  const each = rows / layers;
  return {
    name,
    dtype,
    shape: [each * kept.length, columns],
    async *pieces() {
      for (const index of kept) yield* readRows(weights, name, index * each, each, rowBytes);
    },
  };
}

/** The columns of the kept layers, from a matrix [n, layers · m]. */
function columnsOfLayers(
  weights: CheckpointWeights,
  name: string,
  kept: readonly number[],
  layers: number,
): DerivedTensor {
  const { dtype, rows, columns, rowBytes } = matrix(weights, name);
  const length = rowBytes / layers;
  const parts = kept.map((index) => ({ from: index * length, length }));
  const pieces = () => partsOfRows(weights, name, { rows, rowBytes }, parts);
  return { name, dtype, shape: [rows, (columns / layers) * kept.length], pieces };
}

async function* readRows(
  weights: CheckpointWeights,
  name: string,
  first: number,
  count: number,
  rowBytes: number,
): AsyncGenerator<Uint8Array> {
  const atOnce = Math.max(1, Math.floor(pieceBytes / rowBytes));
  for (let row = 0; row < count; row += atOnce)
    yield await weights.read(name, (first + row) * rowBytes, Math.min(atOnce, count - row) * rowBytes);
}

/** Cuts the same parts out of every row; `from` and `length` are in bytes. */
async function* partsOfRows(
  weights: CheckpointWeights,
  name: string,
  { rows, rowBytes }: { rows: number; rowBytes: number },
  parts: readonly { from: number; length: number }[],
): AsyncGenerator<Uint8Array> {
  for await (const bytes of readRows(weights, name, 0, rows, rowBytes)) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += rowBytes)
      for (const { from, length } of parts) pieces.push(bytes.subarray(at + from, at + from + length));
    yield Buffer.concat(pieces);
  }
}
