import { createHash } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Value from 'typebox/value';
import { ConfigurationError } from '../errors.ts';
import { inOneLine, readCheckpointFile } from './checkpoint-file.ts';
import { type Manifest, ManifestSchema } from './manifest.ts';

export const manifestFile = 'manifest.json';

const maxBytes = 2 ** 24;

/** The sha256 of a manifest, stored with it so that a changed number is noticed. */
const checksumOf = (manifest: Manifest) =>
  createHash('sha256').update(JSON.stringify(manifest)).digest('hex');

/** Reads and checks an export folder's manifest.json. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, manifestFile);
  let parsed: unknown;
  try {
    parsed = JSON.parse(readCheckpointFile(path, maxBytes));
  } catch (cause) {
    throw new ConfigurationError(`${path}: cannot be read as JSON: ${inOneLine((cause as Error).message)}`, {
      cause,
    });
  }
  if (!Value.Check(ManifestSchema, parsed)) throw new ConfigurationError(`${path}: ${firstProblem(parsed)}`);
  const { checksum, ...manifest } = parsed as Manifest & { checksum?: unknown };
  if (checksum !== checksumOf(manifest)) {
    throw new ConfigurationError(
      `${path}: was changed after the exporter wrote it; export the checkpoint again`,
    );
  }
  return manifest;
}

/** Writes manifest.json atomically: a reader sees the old file or the new one, never a part of one. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const path = join(folder, manifestFile);
  const unfinished = `${path}.${process.pid}.partial`;
  const stored = { ...manifest, checksum: checksumOf(manifest) };
  await writeFile(unfinished, `${JSON.stringify(stored, null, 2)}\n`, { flush: true });
  await rename(unfinished, path);
}

/** `<field> is <found>; expected <what>` for the first error. */
function firstProblem(manifest: unknown): string {
  const errors = Value.Errors(ManifestSchema, manifest);
  const first = errors[0];
  if (!first) return 'is not a manifest';
  const steps = first.instancePath.split('/').slice(1);
  const found = steps.reduce<unknown>(
    (value, step) => (value as Record<string, unknown> | null)?.[step],
    manifest,
  );
  const field = steps.join('.') || 'the manifest';
  // A union of constants yields one error for each constant: name them all.
  const allowed = errors.flatMap(({ keyword, instancePath, params }) =>
    keyword === 'const' && instancePath === first.instancePath ? [JSON.stringify(params.allowedValue)] : [],
  );
  const shown = typeof found === 'object' && found !== null ? 'incomplete' : JSON.stringify(found);
  return `${field} is ${shown}; ${allowed.length > 0 ? `expected ${allowed.join(' or ')}` : `it ${first.message}`}`;
}
