import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigReader } from '../catalog/config-reader.ts';
import { type Manifest, manifestFormat, type Precision } from '../catalog/manifest.ts';
import { writeManifest } from '../catalog/manifest-file.ts';
import { readSpecialTokens } from '../catalog/tokenizer/special-tokens.ts';
import { ownTokens, readTokenizerFile, requireVocabulary } from '../catalog/tokenizer/tokenizer-file.ts';
import { ConfigurationError } from '../errors.ts';
import { isSameFiles, listSourceFiles, type SourceFiles } from './checkpoint/checkpoint-digest.ts';
import { CheckpointWeights } from './checkpoint/checkpoint-weights.ts';
import { WeightSource } from './checkpoint/weight-source.ts';
import { describeFiles, type ExportedFiles } from './export-files.ts';
import { exporterVersion } from './exporter-version.ts';
import type { Family, FamilyModel } from './families/family.ts';
import { writeModel } from './onnx/model-file.ts';
import { byteLengthOf } from './onnx/weight.ts';

/** Weight bytes written so far and in total. */
export interface ExportProgress {
  doneBytes: number;
  totalBytes: number;
}

export interface ExportJob {
  checkpoint: string;
  config: ConfigReader;
  family: Family;
  precision: Precision;
  /** The checkpoint's files and their digest before the export. */
  source: SourceFiles;
  digest: string;
  onProgress: (progress: ExportProgress) => void;
  signal: AbortSignal;
}

/** Writes the graphs and the manifest of a checkpoint into `folder`, an existing empty folder. */
export async function writeExport(folder: string, job: ExportJob): Promise<Manifest> {
  const weights = await CheckpointWeights.open(job.checkpoint);
  try {
    const model = await job.family.export(job.config, new WeightSource(weights), job.precision);
    const specialTokens = await readTokens(model.manifest.vocabSize, job);
    await writeGraphs(folder, model, job);
    // The manifest comes last: its presence means that the folder is complete.
    const manifest = describe(model, specialTokens, job, await describeFiles(folder));
    await writeManifest(folder, manifest);
    if (!isSameFiles(job.source, await listSourceFiles(job.checkpoint))) {
      throw new ConfigurationError(`${job.checkpoint}: changed while it was exported`);
    }
    return manifest;
  } finally {
    await weights.close();
  }
}

async function writeGraphs(
  folder: string,
  model: FamilyModel,
  { onProgress, signal }: ExportJob,
): Promise<void> {
  const tensors = model.graphs.flatMap(({ weights }) => weights.flatMap((weight) => weight.tensors));
  const totalBytes = tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  let doneBytes = 0;
  for (const graph of model.graphs) {
    await writeModel(folder, graph, {
      producerVersion: exporterVersion,
      functions: model.functions,
      opsets: model.opsets,
      onBytes: (count) => {
        signal.throwIfAborted();
        doneBytes += count;
        onProgress({ doneBytes, totalBytes });
      },
    });
  }
}

/** Reads the special tokens. @throws ConfigurationError if they or the tokenizer exceed the vocabulary */
async function readTokens(
  vocabSize: number,
  { checkpoint, family }: ExportJob,
): Promise<Manifest['specialTokens']> {
  const specialTokens = await readSpecialTokens(checkpoint, family.specialTokens);
  const { eos, bos, pad, decoderStart } = specialTokens;
  for (const id of [...eos, bos, pad, decoderStart]) {
    if (id === null || id < vocabSize) continue;
    throw new ConfigurationError(
      `${join(checkpoint, 'config.json')}: special token ${id} is beyond vocab_size ${vocabSize}`,
    );
  }
  const tokenizer = join(checkpoint, 'tokenizer.json');
  // A checkpoint without tokenizer.json can be exported, but not served.
  if (existsSync(tokenizer))
    requireVocabulary(checkpoint, ownTokens(readTokenizerFile(tokenizer)), vocabSize);
  return specialTokens;
}

function describe(
  model: FamilyModel,
  specialTokens: Manifest['specialTokens'],
  job: ExportJob,
  files: ExportedFiles,
): Manifest {
  const hasEncoder = model.graphs.some((graph) => graph.name === 'encoder');
  return {
    format: manifestFormat,
    exporter: exporterVersion,
    digest: job.digest,
    source: job.source,
    files,
    family: job.family.name,
    precision: job.precision,
    graphs: { decoder: 'decoder.onnx', encoder: hasEncoder ? 'encoder.onnx' : null },
    specialTokens,
    ...model.manifest,
  };
}
