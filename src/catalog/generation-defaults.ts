import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigReader, unsaid } from './config-reader.ts';
import { modelLimits } from './model-limits.ts';

/** A checkpoint's defaults for what a request omits; null: no default. */
export interface GenerationDefaults {
  temperature: number | null;
  topK: number | null;
  topP: number | null;
  minP: number | null;
  repetitionPenalty: number | null;
  /** Maximum tokens to generate. */
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
 * Reads the fields of generation_config.json that vLLM honours too; the others concern beam search or other decoders.
 * @throws ConfigurationError naming the file, the field and its expected value
 */
export async function readGenerationDefaults(checkpointFolder: string): Promise<GenerationDefaults> {
  const file = join(checkpointFolder, 'generation_config.json');
  if (!existsSync(file)) return noDefaults;
  const reader = await ConfigReader.open(file);
  const unknown = unsaid(null);
  return {
    temperature: reader.number('temperature', [0, 2], unknown),
    topK: reader.integer('top_k', [0, modelLimits.vocab], unknown),
    topP: reader.number('top_p', [0, 1], unknown),
    minP: reader.number('min_p', [0, 1], unknown),
    repetitionPenalty: reader.number('repetition_penalty', [1e-6, 1e6], unknown),
    maxNewTokens: reader.integer('max_new_tokens', [1, modelLimits.positions], unknown),
  };
}
