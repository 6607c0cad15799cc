import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigReader } from './config-reader.ts';

/** What a checkpoint's authors want where a request says nothing; null: they do not say either. */
export interface GenerationDefaults {
  temperature: number | null;
  topK: number | null;
  topP: number | null;
  minP: number | null;
  repetitionPenalty: number | null;
  /** Most tokens to generate. */
  maxNewTokens: number | null;
}

export const noDefaults: GenerationDefaults = {
  temperature: null,
  topK: null,
  topP: null,
  minP: null,
  repetitionPenalty: null,
  maxNewTokens: null,
};

/**
 * The fields of generation_config.json that vLLM honours too; the others are about beam search or other decoders.
 * @throws ConfigurationError naming the file, the field and what it should hold
 */
export async function readGenerationDefaults(checkpointFolder: string): Promise<GenerationDefaults> {
  const file = join(checkpointFolder, 'generation_config.json');
  if (!existsSync(file)) return noDefaults;
  const reader = await ConfigReader.open(file);
  const given = <T>(field: string, read: () => T) => (reader.has(field) ? read() : null);
  const between = (field: string, low: number, high: number) =>
    given(field, () => reader.number(field, low, high));
  return {
    temperature: between('temperature', 0, 2),
    topK: given('top_k', () => reader.count('top_k')),
    topP: between('top_p', 0, 1),
    minP: between('min_p', 0, 1),
    repetitionPenalty: given('repetition_penalty', () => reader.positiveNumber('repetition_penalty')),
    maxNewTokens: given('max_new_tokens', () => reader.positiveInteger('max_new_tokens')),
  };
}
