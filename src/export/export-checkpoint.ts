import { join, resolve } from 'node:path';
import { ConfigReader } from '../catalog/config-reader.ts';
import type { Manifest, Precision } from '../catalog/manifest.ts';
import { manifestFile, readManifest, writeManifest } from '../catalog/manifest-file.ts';
import { digestOf, isSameFiles, listSourceFiles, type SourceFiles } from './checkpoint/checkpoint-digest.ts';
import { exportError } from './export-error.ts';
import { findDamage } from './export-files.ts';
import { exporterVersion } from './exporter-version.ts';
import { familyOf } from './families/families.ts';
import { publishFolder } from './publish-folder.ts';
import { type ExportProgress, writeExport } from './write-export.ts';

export interface EnsureExportOptions {
  /** Folder of the export. Default: `<checkpoint>/onnx/<precision>`. */
  out?: string;
  onProgress?: (progress: ExportProgress) => void;
  /** Aborting it stops the export soon and leaves nothing behind. */
  signal?: AbortSignal;
}

export interface Export {
  folder: string;
  manifest: Manifest;
  /** false if the export already existed. */
  isNew: boolean;
}

/**
 * Returns the export of a checkpoint. Reuses an existing export if this exporter version made it from the same
 * checkpoint, otherwise writes a new one. Safe to call from several processes at once.
 * @throws ConfigurationError in one line: the faulty file, the reason and the remedy
 */
export async function ensureExport(
  checkpoint: string,
  precision: Precision,
  options: EnsureExportOptions = {},
): Promise<Export> {
  try {
    return await findOrWrite(checkpoint, precision, options);
  } catch (error) {
    throw exportError(error, checkpoint);
  }
}

async function findOrWrite(
  checkpoint: string,
  precision: Precision,
  options: EnsureExportOptions,
): Promise<Export> {
  const folder = resolve(options.out ?? join(checkpoint, 'onnx', precision));
  const config = await ConfigReader.open(join(checkpoint, 'config.json'));
  const family = familyOf(config);

  const source = await listSourceFiles(checkpoint);
  const existing = await readUsable(folder, precision);
  if (existing && isSameFiles(existing.source, source)) return { folder, manifest: existing, isNew: false };
  const digest = await digestOf(checkpoint, source);
  if (existing?.digest === digest) {
    return { folder, manifest: await remember(folder, existing, source), isNew: false };
  }

  const job = {
    checkpoint,
    config,
    family,
    precision,
    source,
    digest,
    onProgress: options.onProgress ?? (() => {}),
    signal: options.signal ?? new AbortController().signal,
  };
  const manifest = await publishFolder(folder, manifestFile, (unfinished) => writeExport(unfinished, job));
  return { folder, manifest, isNew: true };
}

/** The manifest if this version can serve the export, else null. The caller checks that the checkpoint is the same. */
async function readUsable(folder: string, precision: Precision): Promise<Manifest | null> {
  const manifest = await readManifest(folder).catch(() => null);
  if (manifest?.exporter !== exporterVersion || manifest.precision !== precision) return null;
  return (await findDamage(folder, manifest.files, false)).length === 0 ? manifest : null;
}

/** Saves new file times of an unchanged checkpoint, for example after a copy, so that later starts need not hash it. */
async function remember(folder: string, manifest: Manifest, source: SourceFiles): Promise<Manifest> {
  const current = { ...manifest, source };
  // This only speeds up the next start, so a read-only export is served too.
  await writeManifest(folder, current).catch(() => {});
  return current;
}
