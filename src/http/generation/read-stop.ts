import type { StopConditions } from '../../engine/generation.ts';
import type { GenerationFields } from '../schemas/generation-fields.ts';
import { checkTokenIds } from './vocabulary.ts';

/** What ends a completion before its length does. */
export function readStop(fields: GenerationFields, vocabSize: number): StopConditions {
  const tokenIds = fields.stop_token_ids ?? [];
  checkTokenIds('stop_token_ids', tokenIds, vocabSize);
  return {
    strings: typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? []),
    tokenIds,
    includeInOutput: fields.include_stop_str_in_output ?? false,
    ignoreEos: fields.ignore_eos ?? false,
    minTokens: fields.min_tokens ?? 0,
  };
}
