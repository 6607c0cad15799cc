import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigReader } from '../config-reader.ts';
import type { Manifest } from '../manifest.ts';

export type SpecialTokens = Manifest['specialTokens'];

/**
 * The tokens that begin and end a generation. generation_config.json takes precedence over config.json, as in Hugging
 * Face's libraries; `defaults` are the family's own.
 */
export async function readSpecialTokens(
  folder: string,
  defaults: Partial<SpecialTokens> = {},
): Promise<SpecialTokens> {
  const readers: ConfigReader[] = [];
  for (const file of ['generation_config.json', 'config.json']) {
    if (existsSync(join(folder, file))) readers.push(await ConfigReader.open(join(folder, file)));
  }
  const reader = (field: string) => readers.find((candidate) => candidate.has(field));
  const single = (field: string) => reader(field)?.tokenId(field) ?? null;
  return {
    eos: [...(reader('eos_token_id')?.tokenIds('eos_token_id') ?? defaults.eos ?? [])],
    bos: single('bos_token_id') ?? defaults.bos ?? null,
    pad: single('pad_token_id') ?? defaults.pad ?? null,
    decoderStart: single('decoder_start_token_id') ?? defaults.decoderStart ?? null,
  };
}
