import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pair } from './compare-servers.ts';

const training = join(import.meta.dirname, '../../training');

/** Builds llama.cpp on first use. @returns its folder */
export const buildLlamaCpp = (): string => execute(join(import.meta.dirname, 'build-llama-cpp.sh')).trim();

/** Makes Gemma 3 270M on first use, with real weights. @returns its folder */
export function realGemmaCheckpoint(): string {
  const checkpoint = join(training, '.cache/gemma-3-270m');
  if (!existsSync(join(checkpoint, 'model.safetensors')))
    execute(join(training, 'run'), 'training.real_gemma', checkpoint);
  return checkpoint;
}

/** Gemma 3 270M in every precision. */
export function realGemma(llamaCpp: string): { checkpoint: string; pairs: Pair[] } {
  const checkpoint = realGemmaCheckpoint();
  // The checkpoint's float32 weights come from this file, so an F32 made of it has the same.
  const source = `${checkpoint}.gguf`;
  const pair = (precision: Pair['precision'], format: string): Pair => ({
    precision,
    format,
    file: () => quantize(llamaCpp, source, `${checkpoint}-${format}.gguf`, format),
  });
  return { checkpoint, pairs: [pair('fp32', 'F32'), pair('int8', 'Q8_0'), pair('int4', 'Q4_0')] };
}

/** A Gemma 3n with random weights, in 4 bits. */
export function randomGemma3n(llamaCpp: string, checkpoint: string): Pair[] {
  const file = async () => {
    const wanted = `${checkpoint}-Q4_0.gguf`;
    if (existsSync(wanted)) return wanted;
    const converted = `${checkpoint}-Q8_0.gguf`;
    execute(join(training, 'run'), 'training.gemma3n_gguf', join(llamaCpp, 'source'), checkpoint, converted);
    await quantize(llamaCpp, converted, wanted, 'Q4_0');
    await rm(converted);
    return wanted;
  };
  return [{ precision: 'int4', format: 'Q4_0', file }];
}

async function quantize(llamaCpp: string, source: string, file: string, format: string): Promise<string> {
  if (existsSync(file)) return file;
  const partial = `${file}.partial`;
  execute(join(llamaCpp, 'build/bin/llama-quantize'), '--allow-requantize', source, partial, format);
  await rename(partial, file);
  return file;
}

/** Runs a command whose messages the user sees. @returns its output */
const execute = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
