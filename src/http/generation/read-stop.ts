import type { StopConditions } from '../../engine/generation.ts';
import type { CompletionRequest } from '../schemas/completion-request.ts';
import { checkTokenIds } from './vocabulary.ts';

/** What ends a completion before its length does. */
export function readStop(body: CompletionRequest, vocabSize: number): StopConditions {
  const tokenIds = body.stop_token_ids ?? [];
  checkTokenIds('stop_token_ids', tokenIds, vocabSize);
  return {
    strings: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    tokenIds,
    includeInOutput: body.include_stop_str_in_output ?? false,
    ignoreEos: body.ignore_eos ?? false,
    minTokens: body.min_tokens ?? 0,
  };
}
