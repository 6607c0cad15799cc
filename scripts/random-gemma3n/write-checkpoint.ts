import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RandomBfloat16 } from './random-bfloat16.ts';
import { configOf, type Gemma3nShape, tensorsOf } from './shape.ts';
import { makeTokenizer, tokenizerConfig } from './tokenizer.ts';
import { writeShards } from './write-shards.ts';

/** Writes a Gemma 3n checkpoint with random weights into `folder`, in the form of a Hugging Face download. */
export async function writeRandomGemma3n(folder: string, shape: Gemma3nShape, seed = 1): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files = {
    'config.json': configOf(shape),
    'generation_config.json': { bos_token_id: 2, eos_token_id: [1], pad_token_id: 0 },
    'tokenizer.json': makeTokenizer(shape.vocab_size),
    'tokenizer_config.json': tokenizerConfig,
  };
  for (const [file, content] of Object.entries(files))
    await writeFile(join(folder, file), JSON.stringify(content));
  await writeShards(folder, tensorsOf(shape), new RandomBfloat16(seed));
}
