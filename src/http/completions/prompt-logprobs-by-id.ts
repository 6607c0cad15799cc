import { tokenText } from '../../catalog/token-text.ts';
import type { PromptTokenLogprobs } from '../../sampling/sampled-token.ts';
import type { ReadyModel } from '../find-model.ts';
import { finite } from '../generation/finite.ts';
import { mapInTurns } from '../in-turns.ts';
import type { PromptLogprobs } from '../schemas/completion-response.ts';

/**
 * The prompt's log probabilities as vLLM writes them.
 * @param alternatives how many of the most likely tokens to list beside the prompt's own
 */
export function promptLogprobsById(
  tokens: readonly number[],
  scores: readonly (PromptTokenLogprobs | null)[],
  alternatives: number,
  vocabulary: ReadyModel['vocabulary'],
): Promise<PromptLogprobs> {
  return mapInTurns(scores, (score, i) => {
    if (score === null) return null;
    const own = { token: tokens[i]!, logprob: score.logprob, rank: score.rank };
    const top = score.top.slice(0, alternatives).map((entry, place) => ({ ...entry, rank: place + 1 }));
    const entries = [own, ...top.filter(({ token }) => token !== own.token)].map(
      ({ token, logprob, rank }) =>
        [
          String(token),
          { logprob: finite(logprob), rank, decoded_token: tokenText(vocabulary.tokenBytes(token)) },
        ] as const,
    );
    return Object.fromEntries(entries);
  });
}
