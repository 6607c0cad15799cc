import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { cacheBytesPerToken } from '../../catalog/cache-bytes.ts';
import { ConfigReader } from '../../catalog/config-reader.ts';
import type { Manifest, Precision } from '../../catalog/manifest.ts';
import { manifestFile, readManifest } from '../../catalog/manifest-file.ts';
import { ConfigurationError } from '../../errors.ts';
import { listSourceFiles } from '../checkpoint/checkpoint-digest.ts';
import { CheckpointWeights } from '../checkpoint/checkpoint-weights.ts';
import { WeightSource } from '../checkpoint/weight-source.ts';
import { findDamage } from '../export-files.ts';
import { familyOf } from '../families/families.ts';
import { functionsUsed } from '../onnx/functions-used.ts';
import {
  type FunctionSummary,
  type GraphSummary,
  readGraphFile,
  summarizeFunction,
  summarizeGraph,
} from './graph-summary.ts';
import { type ByPart, countParameters, sizesByPart } from './parameters.ts';

type Described = Pick<
  Manifest,
  | 'family'
  | 'altup'
  | 'sequence'
  | 'moe'
  | 'vocabSize'
  | 'contextLength'
  | 'encoderContextLength'
  | 'parameters'
  | 'cache'
  | 'cross'
>;

export interface Inspection {
  name: string;
  kind: 'checkpoint' | 'export';
  precision: Precision;
  family: Manifest['family'];
  altup: Manifest['altup'];
  sequence: Manifest['sequence'];
  moe: Manifest['moe'];
  vocabSize: number;
  contextLength: number;
  encoderContextLength: number | null;
  parameters: ByPart;
  /** Bytes of the parameters in the export. */
  sizes: ByPart;
  /** Bytes per position in a slot: of self-attention, and of cross-attention per encoder position. */
  cacheBytesPerToken: number;
  crossBytesPerToken: number;
  /** Node counts by graph, then by operator. */
  operators: Record<string, Record<string, number>>;
  functions: FunctionSummary[];
  /** Bytes by file name: the checkpoint's config and weights, and the export's files. */
  files: Record<string, number>;
}

/**
 * Checks every byte of an export against its manifest.
 * @param path an export folder, or a checkpoint with an export of this precision
 * @returns one sentence for each damaged file, an empty list if there are none
 * @throws ConfigurationError if there is no export, or its manifest was changed
 */
export async function verifyExport(path: string, precision: Precision): Promise<string[]> {
  const given = resolve(path);
  const folder = existsSync(join(given, manifestFile)) ? given : join(given, 'onnx', precision);
  if (!existsSync(join(folder, manifestFile))) {
    throw new ConfigurationError(`${folder}: holds no export; run 'altup export ${path}' first`);
  }
  return await findDamage(folder, (await readManifest(folder)).files, true);
}

/** Describes a checkpoint, exported or not, or an export folder. Writes nothing. */
export async function inspectModel(path: string, precision: Precision): Promise<Inspection> {
  const folder = resolve(path);
  if (existsSync(join(folder, manifestFile))) return await inspectExport(folder);
  if (existsSync(join(folder, 'config.json'))) return await inspectCheckpoint(folder, precision);
  throw new ConfigurationError(
    `${folder}: is not a model; expected config.json (a checkpoint) or ${manifestFile} (an export)`,
  );
}

async function inspectExport(folder: string): Promise<Inspection> {
  const manifest = await readManifest(folder);
  const names = [manifest.graphs.encoder, manifest.graphs.decoder].filter((file) => file !== null);
  const models = await Promise.all(names.map((file) => readGraphFile(join(folder, file))));
  return {
    name: folder,
    kind: 'export',
    ...describe(manifest, manifest.precision),
    ...describeGraphs(
      manifest,
      models.map(({ graph }) => graph),
    ),
    functions: inAnyGraph(models.map(({ functions }) => functions)),
    files: await fileSizes(folder),
  };
}

async function inspectCheckpoint(folder: string, precision: Precision): Promise<Inspection> {
  const config = await ConfigReader.open(join(folder, 'config.json'));
  const family = familyOf(config);
  const weights = await CheckpointWeights.open(folder);
  try {
    const model = await family.export(config, new WeightSource(weights), precision);
    const described = { family: family.name, ...model.manifest };
    const exported = join('onnx', precision);
    return {
      name: basename(folder),
      kind: 'checkpoint',
      ...describe(described, precision),
      ...describeGraphs(described, model.graphs.map(summarizeGraph)),
      functions: inAnyGraph(
        model.graphs.map(({ nodes }) => functionsUsed(nodes, model.functions).map(summarizeFunction)),
      ),
      files: {
        ...Object.fromEntries((await listSourceFiles(folder)).map(({ file, size }) => [file, size])),
        ...(existsSync(join(folder, exported)) ? await fileSizes(join(folder, exported), exported) : {}),
      },
    };
  } finally {
    await weights.close();
  }
}

/** Lists each function once, even if several graphs store it. */
function inAnyGraph(functions: FunctionSummary[][]): FunctionSummary[] {
  return [...new Map(functions.flat().map((summary) => [summary.name, summary])).values()];
}

function describe(model: Described, precision: Precision) {
  const { family, altup, sequence, moe, vocabSize, contextLength, encoderContextLength } = model;
  const { own, cross } = cacheBytesPerToken({ ...model, precision });
  return {
    precision,
    family,
    altup,
    sequence,
    moe,
    vocabSize,
    contextLength,
    encoderContextLength,
    cacheBytesPerToken: own,
    crossBytesPerToken: cross,
  };
}

function describeGraphs(model: Described, graphs: readonly GraphSummary[]) {
  return {
    parameters: countParameters(graphs, model.parameters),
    sizes: sizesByPart(graphs),
    operators: Object.fromEntries(graphs.map(({ name, operators }) => [name, operators])),
  };
}

async function fileSizes(folder: string, prefix = ''): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const file of (await readdir(folder)).sort()) {
    sizes[join(prefix, file)] = (await stat(join(folder, file))).size;
  }
  return sizes;
}
