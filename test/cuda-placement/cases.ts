import { join } from 'node:path';
import type { Precision } from '../../src/catalog/manifest.ts';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { loadNativeAddon } from '../../src/runtime/native/native-addon.ts';
import { NativeSession } from '../../src/runtime/native/native-session.ts';

/** A shipped model in a precision that CUDA runs. */
export interface Case {
  model: string;
  precision: Precision;
}

const decoderOnly = ['austen-gemma3', 'austen-gemma3n'];
export const cases: readonly Case[] = [
  ...decoderOnly.flatMap((model) =>
    (['fp16', 'bf16', 'int8', 'int4'] as const).map((precision) => ({ model, precision })),
  ),
  { model: 'austen-t5-dense', precision: 'fp16' },
  { model: 'austen-t5-altup-k2', precision: 'fp16' },
  { model: 'austen-t5-dense', precision: 'bf16' },
  { model: 'austen-t5-altup-k2', precision: 'bf16' },
];

/** The cases that a device can run: bfloat16 came with compute capability 8.0. */
export const casesOn = (capability: number): readonly Case[] =>
  cases.filter(({ precision }) => precision !== 'bf16' || capability >= 80);

/** Writes the exports that are missing. */
export async function exportAll(): Promise<void> {
  for (const { model, precision } of cases) await exported(model, precision);
}

const exported = (model: string, precision: Precision) =>
  ensureExport(join(import.meta.dirname, '../../models', model), precision);

/** Opens a case on the stand-in. Only in a process that has its libraries (run-on-stand-in.ts). */
export async function open(
  { model, precision }: Case,
  { verbose = false, memoryLimit }: { verbose?: boolean; memoryLimit?: number } = {},
): Promise<NativeSession> {
  const { addon, reason } = { reason: '', ...loadNativeAddon() };
  if (addon === null) throw new Error(reason);
  const { folder, manifest } = await exported(model, precision);
  const limit = memoryLimit === undefined ? {} : { memoryLimit };
  const options = { folder, slots: 4, maxContext: 256, threads: 1, ...limit };
  const library = join(process.env.STAND_IN_LIBRARIES!, 'libonnxruntime.so.1');
  return NativeSession.open(manifest, options, { addon, library }, { executionProvider: 'cuda', verbose });
}
